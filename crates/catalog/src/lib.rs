//! What is known about providers and models, as data.
//!
//! One row per provider ([`providers`]), one entry per model ([`models`]), what a call costs ([`price`]). Knows
//! nothing about configuration, credentials or networks. The provider table is the only code that names vendors.

pub mod models;
pub mod price;
pub mod providers;

pub use models::{Catalog, CatalogError, Model};
pub use price::{PicoUsd, Price, Tier};
pub use providers::{AUTO_ORDER, Auth, PROVIDERS, Provider, WIRES, provider};
