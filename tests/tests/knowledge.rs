//! What is known of sources, with the real daemon on loopback and stand-ins for everybody that it asks.
//! Needs nothing but a loopback interface.

#[path = "knowledge/canary.rs"]
mod canary;
#[path = "knowledge/feeds.rs"]
mod feeds;
#[path = "knowledge/places.rs"]
mod places;
#[path = "knowledge/providers.rs"]
mod providers;
#[path = "knowledge/response.rs"]
mod response;
#[path = "knowledge/shop.rs"]
mod shop;
#[path = "knowledge/threats.rs"]
mod threats;
