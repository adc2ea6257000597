//! The pages, and what each may load.

pub const BOARD: &str = include_str!("board.html");
pub const BOARD_POLICY: &str = "default-src 'none'";
pub const TICKET: &str = include_str!("ticket.html");
pub const TICKET_POLICY: &str = "default-src 'none'";
