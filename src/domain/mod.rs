//! The lottery itself: bets and their rows, agencies, phases and who has won. This code is pure: it does no I/O, and knows no
//! wire format, no file and no socket.

pub mod acta;
mod bet;
mod chain;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod plain;
mod register;
mod role;
mod row;
mod rules;
pub mod seal;
mod text;
pub mod tree;

pub use bet::{Bet, BetError, Field, WINNING_NUMBER, has_won};
pub use chain::{Checksum, Place};
pub use plain::{PlainBet, plain_bet};
pub use register::{Account, AgencyId, Draw, MAX_AGENCIES, Phase, Register, Roster, SealStep};
pub use role::{EXPIRY_DAYS, OPERATOR_TOKEN, Role};
pub use row::Rows;
pub use rules::{Rules, SaidRules, WinningNumber};
pub use seal::{LotteryId, Secret, Status};
pub use text::{Quoted, is_digits, is_forbidden, visible};
pub use tree::Hash;
