//! The lottery itself: bets and their rows, agencies, phases and who has won. Pure: it does no I/O and knows no wire word,
//! no file and no socket.

mod bet;
mod plain;
mod register;
mod row;
mod text;

pub use bet::{Bet, BetError, Field, WINNING_NUMBER, has_won};
pub use plain::{PlainBet, plain_bet};
pub use register::{Account, AgencyId, Draw, MAX_AGENCIES, Phase, Register, Roster};
pub use row::Rows;
pub use text::{Quoted, visible};
