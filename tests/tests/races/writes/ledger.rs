//! The write of the ledger.

use af_app::App;
use af_domain::ledger::Figures;
use af_domain::push::Day;
use af_store::ledger::{Account, LedgerRow};

use crate::world::World;

pub async fn add_to_ledger_if_new(_: &World, app: &App, times: usize) -> Vec<String> {
    let (day, figures) = (Day::of_utc(app.now()), Figures { messages: 1, ..Figures::default() });
    let rows = [LedgerRow { day, account: Account::Deployment, figures }];
    send!(times, app.store.add_to_ledger_if_new("batch", &rows, app.now()))
}
