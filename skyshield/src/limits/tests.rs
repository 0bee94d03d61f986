use super::*;
use crate::clock;
use crate::inspect::Header;

fn limiter(text: &str) -> (Limiter, Instant) {
    let now = clock::now();
    let config: Config = toml::from_str(text).unwrap();
    assert_eq!(config.problem(), None);
    (Limiter::new(&config, &Registry::new(), now).unwrap(), now)
}

/// How many of `sent` requests are within, and the class.
fn within(
    limiter: &Limiter,
    now: Instant,
    line: &str,
    client: &str,
    user: &str,
    sent: usize,
) -> (usize, String) {
    let (method, target) = line.split_once(' ').unwrap();
    let headers = [Header { name: b"X-User", value: user.as_bytes() }];
    let request =
        Request { method: method.as_bytes(), target: target.as_bytes(), headers: &headers, body: b"" };
    let mut class = "free".to_owned();
    let count = (0..sent).filter(|_| match limiter.count(client.parse().unwrap(), &request, now) {
        Counted::Free => true,
        Counted::Within(quota) => {
            quota.class().clone_into(&mut class);
            true
        }
        Counted::Over { quota, .. } => {
            quota.class().clone_into(&mut class);
            false
        }
    });
    (count.count(), class)
}

#[test]
fn the_classes_every_installation_starts_with() {
    let (limiter, now) = limiter("");
    for (number, (line, class, requests)) in [
        ("GET /api/products", "api", 100),
        ("POST /login", "auth", 5),
        ("POST /api/v1/auth/token/refresh", "auth", 5),
        ("POST /wp-login.php", "auth", 5),
        ("POST /%6Cogin", "auth", 5),
        ("POST /user/password/reset", "auth", 5),
        ("GET /login", "default", 1000),
        ("POST /api/v1/charts/7/render", "chart", 10),
        ("GET /api/v1/charts/7", "api", 100),
        ("GET /products/42?x=.css", "default", 1000),
        ("GET /static/app.css?v=2", "free", 2000),
        ("POST /static/app.css", "default", 1000),
    ]
    .into_iter()
    .enumerate()
    {
        let client = format!("203.0.113.{number}");
        assert_eq!(within(&limiter, now, line, &client, "", 2000), (requests, class.to_owned()), "{line}");
    }
}

#[test]
fn a_source_is_a_prefix_and_sources_do_not_share() {
    let (limiter, now) = limiter("exempt = ['198.51.100.0/24']");
    let count = |client: &str, sent| within(&limiter, now, "POST /login", client, "", sent).0;
    assert_eq!(count("2001:db8:0:1::1", 9), 5);
    assert_eq!(count("2001:db8:0:1:ffff::2", 9), 0, "the same /64");
    assert_eq!(count("2001:db8:0:2::1", 9), 5);
    assert_eq!(count("192.0.2.1", 9), 5);
    assert_eq!(count("::ffff:192.0.2.1", 9), 0, "the same address in other clothes");
    assert_eq!(count("192.0.2.2", 9), 5);
    assert_eq!(count("198.51.100.7", 9), 9);
}

#[test]
fn users_have_quotas_of_their_own_where_asked_for() {
    let (by_user, now) = limiter("[user]\nheader = 'x-user'\n[classes.auth]\nby = 'user'");
    let count = |client: &str, user: &str| within(&by_user, now, "POST /login", client, user, 9).0;
    assert_eq!(count("192.0.2.1", "anna"), 5);
    assert_eq!(count("192.0.2.2", "anna"), 0);
    assert_eq!(count("192.0.2.1", "bert"), 5);
    assert_eq!(count("192.0.2.1", ""), 5, "who names nobody counts for his source");
    let (both, now) = limiter("[user]\nheader = 'x-user'\n[classes.auth]\nby = 'both'");
    let count = |client: &str, user: &str, sent| within(&both, now, "POST /login", client, user, sent).0;
    assert_eq!(count("192.0.2.1", "anna", 9), 5);
    assert_eq!(count("192.0.2.2", "anna", 9), 0);
    assert_eq!(
        count("192.0.2.2", "bert", 9),
        5,
        "what was refused for one reason used up nothing of the other"
    );
    assert_eq!(count("192.0.2.1", "carl", 9), 0);
}

#[test]
fn switched_off_is_off() {
    let (limiter, now) = limiter("enabled = false");
    assert_eq!(within(&limiter, now, "POST /login", "192.0.2.1", "", 5000).0, 5000);
}

#[test]
fn a_source_that_moved_its_bytes_waits_until_they_are_within_again() {
    let (limiter, now) = limiter("v6_prefix = 64\n[per_source]\nbytes = 1000\nwindow_secs = 100\n");
    let at = |secs| now + Duration::from_secs(secs);
    let (one, sibling, other): (IpAddr, IpAddr, IpAddr) =
        ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap(), "192.0.2.1".parse().unwrap());
    assert!(limiter.over_bytes(one, at(0)).is_none());
    limiter.spend(one, 600, || at(0));
    limiter.spend(sibling, 400, || at(0));
    assert!(limiter.over_bytes(one, at(0)).is_none(), "all of it may be used");
    limiter.spend(one, 100, || at(0));
    let Some(Counted::Over { quota, retry_after }) = limiter.over_bytes(sibling, at(0)) else {
        panic!("within")
    };
    assert_eq!(
        (quota.class(), quota.unit, quota.amount, quota.window_secs),
        ("bytes", Unit::Bytes, 1000, 100)
    );
    assert_eq!(retry_after, Duration::from_secs(10));
    assert!(limiter.over_bytes(other, at(0)).is_none());
    assert!(limiter.over_bytes(one, at(11)).is_none());
    limiter.spend(one, u64::MAX, || at(11));
    let Some(Counted::Over { retry_after, .. }) = limiter.over_bytes(one, at(11)) else { panic!("within") };
    assert_eq!(retry_after, Duration::from_secs(100), "one download bars nobody for longer than a window");
}

#[test]
fn a_source_has_so_many_requests_in_progress_and_no_more() {
    let (limiter, _) = limiter("exempt = ['198.51.100.0/24']\n[per_source]\nconcurrent = 3\n");
    let (one, other): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
    let mut stays: Vec<_> = (0..3).map(|_| limiter.enter(one).unwrap()).collect();
    let Err(Counted::Over { quota, .. }) = limiter.enter(one) else { panic!("within") };
    assert_eq!((quota.class(), quota.unit, quota.amount), ("concurrent", Unit::InProgress, 3));
    assert!(limiter.enter(other).is_ok());
    stays.pop();
    assert!(limiter.enter(one).is_ok_and(|stay| stay.is_some()));
    drop(stays);
    assert!((0..1000).all(|_| limiter.enter(one).is_ok_and(|stay| stay.is_some())));
    let exempt: Vec<_> = (0..10).map(|_| limiter.enter("198.51.100.7".parse().unwrap()).unwrap()).collect();
    assert!(exempt.iter().all(Option::is_none));
}

#[test]
fn a_new_configuration_goes_on_from_what_was_counted() {
    let (limiter, now) = limiter("");
    let auth = |limiter: &Limiter, sent| within(limiter, now, "POST /login", "192.0.2.1", "", sent).0;
    assert_eq!(auth(&limiter, 3), 3);
    let config = |text: &str| toml::from_str::<Config>(text).unwrap();
    // A class tried before it changes no place of its count.
    let shop = "[classes.shop]\npaths = ['/shop']\nrequests = 1\nwindow_secs = 60\n";
    let wider = limiter.renewed(&config(&format!("{shop}[classes.auth]\nrequests = 10")), now);
    assert_eq!(auth(&wider, 99), 4, "of five three were used, so of ten six");
    // What was used up for a long window is used up for the short one, and no longer.
    let shorter = wider.renewed(&config("[classes.auth]\nrequests = 5\nwindow_secs = 5"), now);
    assert_eq!(auth(&shorter, 9), 0);
    let later = now + Duration::from_secs(5);
    assert_eq!(within(&shorter, later, "POST /login", "192.0.2.1", "", 9).0, 5);
    let off = shorter.renewed(&config("enabled = false"), now);
    assert_eq!(auth(&off, 99), 99);
    assert_eq!(auth(&off.renewed(&config(""), now), 9), 5, "begins anew where nobody was limited");
}
