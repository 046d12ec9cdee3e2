//! Which providers this process can use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::{Provider, ProviderError, ProviderKind};

/// The providers by kind. Cheap to clone.
#[derive(Clone, Default)]
pub struct Providers(Arc<BTreeMap<ProviderKind, Arc<dyn Provider>>>);

impl Providers {
    /// No provider at all: functions that never touch the pool.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// These and `provider`; one of the same kind is replaced.
    #[must_use]
    pub fn with(self, provider: Arc<dyn Provider>) -> Self {
        let mut all = Arc::unwrap_or_clone(self.0);
        all.insert(provider.kind(), provider);
        Self(Arc::new(all))
    }

    /// The provider of this kind.
    ///
    /// # Errors
    /// `NotAvailableYet` for a kind that is not built, or not wired into this process.
    pub fn get(&self, kind: ProviderKind) -> Result<Arc<dyn Provider>, ProviderError> {
        self.0.get(&kind).cloned().ok_or(ProviderError::NotAvailableYet { kind })
    }

    /// The kinds that can be used.
    pub fn kinds(&self) -> impl Iterator<Item = ProviderKind> {
        self.0.keys().copied()
    }
}

impl fmt::Debug for Providers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_not_built_is_a_clear_error() {
        let error = Providers::none().get(ProviderKind::Ecs).err().expect("nothing is there");
        assert_eq!(error.to_string(), "provider `ecs` is not available yet");
    }
}
