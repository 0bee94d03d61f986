//! Simulated days: whole days of requests by one kind of sender through the real judge, limits and
//! detectors, over a virtual clock and with fixed seeds.

#[path = "days/attackers.rs"]
mod attackers;
#[path = "days/honest.rs"]
mod honest;
#[path = "days/world.rs"]
mod world;
