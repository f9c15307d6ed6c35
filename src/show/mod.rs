//! What people and programs see of answers and files: rows in five formats ([`render`]), and a file of a store, byte for byte and past
//! any damage ([`dump`]). It knows nothing of arguments, terminals or exit statuses: those are the program's, in `src/cli`.

pub mod dump;
pub mod render;
