//! Games with segments: each is seen through, or what was not heard is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::http::{field, get};
use tests::raw_tcp::{Link, Odd, RawTcp};
use tests::world::{HOST, HOST_V4, INTERFACE, honest_client};

use crate::place::{PORT, Place};

const ATTACK: &str = "/products?id=1%20UNION%20SELECT%20username,password%20FROM%20users--";
const TO: SocketAddrV4 = SocketAddrV4::new(HOST_V4, PORT);

/// Neighbours who are nobody's. Each game has its own, of a network of his own: one that most of whose
/// members are banned would be banned whole.
fn player(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, 100 + number, 7)
}

type Game = fn(&mut RawTcp<'_>, &[u8]) -> anyhow::Result<()>;

fn u(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Lets the host take what was sent up to `at`.
fn settle(raw: &mut RawTcp<'_>, at: usize) -> anyhow::Result<()> {
    raw.listen(Duration::from_millis(500), |raw| raw.acknowledged >= u(at))
}

const GAMES: &[(&str, Game)] = &[
    ("whole", |raw, attack| raw.send(0, attack, Odd::default())),
    ("one byte at a time", |raw, attack| {
        for (at, byte) in attack.iter().enumerate() {
            raw.send(u(at), &[*byte], Odd::default())?;
        }
        Ok(())
    }),
    ("the last byte first", |raw, attack| {
        for (at, piece) in attack.chunks(7).enumerate().collect::<Vec<_>>().into_iter().rev() {
            raw.send(u(at * 7), piece, Odd::default())?;
        }
        Ok(())
    }),
    ("each segment three times", |raw, attack| {
        for (at, piece) in attack.chunks(20).enumerate() {
            for _ in 0..3 {
                raw.send(u(at * 20), piece, Odd::default())?;
            }
        }
        Ok(())
    }),
    ("overlaps with the same bytes", |raw, attack| {
        for at in (0..attack.len()).step_by(10) {
            raw.send(u(at), &attack[at..(at + 25).min(attack.len())], Odd::default())?;
        }
        Ok(())
    }),
    ("other bytes after the right ones", |raw, attack| {
        raw.send(0, &attack[..40], Odd::default())?;
        settle(raw, 40)?;
        raw.send(5, &[b'x'; 35], Odd::default())?;
        raw.send(40, &attack[40..], Odd::default())
    }),
    ("other bytes ahead of their turn", |raw, attack| {
        // The first of two for one place wins, in the queue as well.
        raw.send(20, &attack[20..60], Odd::default())?;
        raw.send(30, &[b'x'; 10], Odd::default())?;
        raw.send(0, &attack[..20], Odd::default())?;
        raw.send(60, &attack[60..], Odd::default())
    }),
    ("a decoy ahead of its turn that is covered later", |raw, attack| {
        raw.send(20, &[b'x'; 10], Odd::default())?;
        raw.send(20, &attack[20..], Odd::default())?;
        raw.send(0, &attack[..20], Odd::default())
    }),
    ("a decoy with a wrong checksum", |raw, attack| {
        let decoy = vec![b'a'; attack.len()];
        raw.send(0, &decoy, Odd { bad_sum: true, ..Odd::default() })?;
        std::thread::sleep(Duration::from_millis(30));
        raw.send(0, attack, Odd::default())
    }),
    ("an honest decoy with a wrong checksum, then one byte at a time", |raw, attack| {
        let decoy = get(HOST, "/");
        raw.send(0, &decoy, Odd { bad_sum: true, ..Odd::default() })?;
        std::thread::sleep(Duration::from_millis(30));
        for (at, byte) in attack.iter().enumerate() {
            raw.send(u(at), &[*byte], Odd::default())?;
        }
        Ok(())
    }),
    ("an urgent byte in the middle", |raw, attack| {
        let hidden = [&attack[..30], b"!", &attack[30..]].concat();
        raw.send(0, &hidden, Odd { urgent: 31, ..Odd::default() })
    }),
    ("an end right behind it", |raw, attack| raw.send(0, attack, Odd { fin: true, ..Odd::default() })),
    ("the end before the middle", |raw, attack| {
        raw.send(50, &attack[50..], Odd { fin: true, ..Odd::default() })?;
        raw.send(0, &attack[..50], Odd::default())
    }),
    ("fragments, the last first", |raw, attack| {
        raw.send(0, attack, Odd { fragments: Some(48), ..Odd::default() })
    }),
    ("an honest request before it in one segment", |raw, attack| {
        raw.send(0, &[&get(HOST, "/")[..], attack].concat(), Odd::default())
    }),
    ("bare line ends, which nginx takes", |raw, attack| {
        let bare = String::from_utf8_lossy(attack).replace("\r\n", "\n");
        raw.send(0, bare.as_bytes(), Odd::default())
    }),
    ("a thousand requests before it", |raw, attack| {
        let honest = get(HOST, "/products/42");
        let mut at = 0;
        for _ in 0..100 {
            let many = honest.repeat(10);
            raw.send(u(at), &many, Odd::default())?;
            at += many.len();
            settle(raw, at)?;
        }
        raw.send(u(at), attack, Odd::default())
    }),
];

fn link(place: &Place) -> anyhow::Result<Link> {
    let players: Vec<_> = (1..=110).map(player).collect();
    Link::open((&place.world.clients, "sky-clients"), (&place.world.host, INTERFACE), &players)
}

pub(crate) fn played() -> anyhow::Result<()> {
    let place = Place::open("")?;
    let link = link(&place)?;
    let attack = get(HOST, ATTACK);
    for ((name, game), number) in GAMES.iter().zip(1_u8..) {
        let from = player(number);
        let mut raw = RawTcp::connect(&link, SocketAddrV4::new(from, 40_000), TO)?;
        game(&mut raw, &attack).with_context(|| (*name).to_owned())?;
        let mut found = None;
        Place::until(name, || {
            found = place.incident_of(from.into())?;
            Ok(found.is_some())
        })?;
        let found = found.context("none")?;
        ensure!(found["door"] == "tap" && found["act"] == "ban", "{name}: {found}");
    }
    // What never becomes a request is counted, and nobody is banned for it.
    let half = player(100);
    let raw = RawTcp::connect(&link, SocketAddrV4::new(half, 40_000), TO)?;
    raw.send(0, &attack[..60], Odd::default())?;
    raw.reset(60)?;
    let cut = player(101);
    let raw = RawTcp::connect(&link, SocketAddrV4::new(cut, 40_000), TO)?;
    raw.send(0, &attack[..60], Odd { fin: true, ..Odd::default() })?;
    Place::until("what was cut is counted", || {
        Ok(place.metric("skyshield_tap_requests_total{heard=\"lost\"}")? >= 1.0)
    })?;
    for nobody in [half, cut] {
        ensure!(place.incident_of(nobody.into())?.is_none(), "{nobody}");
    }
    // In VLAN tags, too, though no interface of the host takes those: it is the socket that counts.
    let tagged = player(102);
    let raw = RawTcp::connect(&link, SocketAddrV4::new(tagged, 40_000), TO)?;
    raw.send(0, &attack, Odd { tags: 2, ..Odd::default() })?;
    Place::until("the tagged attack", || Ok(place.incident_of(tagged.into())?.is_some()))?;
    let odds = ["reordered", "repeated", "overlapping", "contradicting", "urgent"];
    for kind in odds {
        let count = place.metric(&format!("skyshield_tap_odds_total{{kind=\"{kind}\"}}"))?;
        ensure!(count > 0.0, "no {kind}");
    }
    crate::report(&format!("{} games seen through", GAMES.len()));
    place.daemon.stop().map(|_| ())
}

/// Whoever does not see the host's answers gets nobody banned, whatever he says in a victim's name.
pub(crate) fn spoofed() -> anyhow::Result<()> {
    let place = Place::open("")?;
    let link = link(&place)?;
    let attack = get(HOST, ATTACK);
    // A victim who is not there; one who is, connected; and one amid a request.
    let absent = player(1);
    let (present, amid) = (player(2), player(3));
    let mut connected = RawTcp::connect(&link, SocketAddrV4::new(present, 40_000), TO)?;
    connected.send(0, &get(HOST, "/"), Odd::default())?;
    connected.listen(Duration::from_secs(1), |raw| !raw.received.is_empty())?;
    ensure!(field(&String::from_utf8_lossy(&connected.received), "server").is_some(), "no answer");
    let half = RawTcp::connect(&link, SocketAddrV4::new(amid, 40_000), TO)?;
    half.send(0, &attack[..20], Odd::default())?;
    for victim in [absent, present, amid] {
        for _ in 0..2_000 {
            let spoof = RawTcp::blind(&link, SocketAddrV4::new(victim, 40_000), TO)?;
            spoof.send(0, &attack, Odd::default())?;
        }
    }
    Place::until("they are counted", || {
        let fate = |name| place.metric(&format!("skyshield_tap_segments_total{{fate=\"{name}\"}}"));
        Ok(fate("no_socket")? + fate("unproven")? >= 5_990.0)
    })?;
    for victim in [absent, present, amid] {
        ensure!(place.incident_of(IpAddr::V4(victim))?.is_none(), "{victim} was taken for the attacker");
    }
    ensure!(place.daemon.decisions()?.is_empty());
    ensure!(place.ask(honest_client(1), &get(HOST, "/"))?.status == 200);
    place.daemon.stop().map(|_| ())
}
