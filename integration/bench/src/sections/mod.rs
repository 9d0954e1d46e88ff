//! What is measured: one file, one or two tables.

pub mod alive;
pub mod churn;
pub mod counts;
pub mod cycle;
pub mod exec;
pub mod filter;
pub mod instructions;
pub mod limits;
pub mod memory;
pub mod run;
