//! The lottery itself: bets, agencies, phases and who has won. Pure: it does no I/O and knows no wire word,
//! no file format and no socket.

mod bet;
mod register;
mod text;

pub use bet::{Bet, BetError, Field, WINNING_NUMBER, has_won};
pub use register::{Account, AgencyId, MAX_AGENCIES, Phase, Register, Roster};
pub use text::{Quoted, visible};
