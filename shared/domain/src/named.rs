//! Enums whose values have fixed names.

/// Declares an enum whose values are stored and shown by their names.
#[macro_export]
macro_rules! named_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every value.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$variant),+];

            /// The name of the value, as it is stored and shown.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Returns the value with this name.
            pub fn parse(name: impl AsRef<str>) -> Option<Self> {
                Self::ALL.into_iter().find(|value| value.as_str() == name.as_ref())
            }
        }
    };
}
