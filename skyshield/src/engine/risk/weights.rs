//! What each kind of evidence weighs where it is certain.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::term::{Evidence, Kind, Term};
use crate::engine::behaviour::Detector;
use crate::engine::standing::{Origin, Standing};
use crate::inspect::{Class, Finding};

/// The term of threat indicators.
const INDICATOR: &str = "indicators";

/// The section `risk.weights`: 0 is not counted, 1 counts in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Findings by class (`sqli`, `xss`, …; `skyshield rules list` names them). Default 1 each.
    pub classes: BTreeMap<Class, f64>,
    /// What a source has been doing, by detector. Default 1 each.
    pub behaviour: BTreeMap<String, f64>,
    /// Earlier incidents of the source, as they fade. Default 0.5.
    pub incidents: f64,
    /// Attacks of the last days from the address of the source and from its neighbourhood (/24, /48): threat
    /// indicators. Default 0.2.
    pub indicators: f64,
    /// What others say of the source. Default 0.5.
    pub reputation: f64,
    /// A source that is an exit of Tor. Default 0.3.
    pub tor: f64,
    /// A source that is a public proxy or a VPN. Default 0.2.
    pub proxy: f64,
    /// A source in a data centre. Default 0.1.
    pub hosting: f64,
    /// Sources by country (`DE`). Default 0 each.
    pub countries: BTreeMap<String, f64>,
    /// Sources by the number of their network (`64496`). Default 0 each.
    pub asns: BTreeMap<String, f64>,
}

impl Default for Weights {
    fn default() -> Self {
        Self {
            classes: BTreeMap::new(),
            behaviour: BTreeMap::new(),
            incidents: 0.5,
            indicators: 0.2,
            reputation: 0.5,
            tor: 0.3,
            proxy: 0.2,
            hosting: 0.1,
            countries: BTreeMap::new(),
            asns: BTreeMap::new(),
        }
    }
}

impl Weights {
    /// What is wrong with them, if anything: the key and how to mend it.
    pub(super) fn problem(&self) -> Option<(&'static str, String)> {
        let single = [
            ("risk.weights.incidents", self.incidents),
            ("risk.weights.indicators", self.indicators),
            ("risk.weights.reputation", self.reputation),
            ("risk.weights.tor", self.tor),
            ("risk.weights.proxy", self.proxy),
            ("risk.weights.hosting", self.hosting),
        ];
        let is_off = |weight: f64| !(0.0..=1.0).contains(&weight);
        if let Some((key, weight)) = single.into_iter().find(|(_, weight)| is_off(*weight)) {
            return Some((key, format!("{weight} is not between 0 and 1")));
        }
        let classes = self.classes.iter().map(|(class, weight)| (class.name(), *weight));
        if let Some((name, weight)) = classes.into_iter().find(|(_, weight)| is_off(*weight)) {
            return Some(("risk.weights.classes", format!("{name}: {weight} is not between 0 and 1")));
        }
        for (key, by_name) in [
            ("risk.weights.behaviour", &self.behaviour),
            ("risk.weights.countries", &self.countries),
            ("risk.weights.asns", &self.asns),
        ] {
            if let Some((name, weight)) = by_name.iter().find(|(_, weight)| is_off(**weight)) {
                return Some((key, format!("{name}: {weight} is not between 0 and 1")));
            }
        }
        let is_detector = |name: &String| Detector::ALL.into_iter().any(|detector| detector.name() == name);
        if let Some(name) = self.behaviour.keys().find(|name| !is_detector(name)) {
            let known = Detector::ALL.map(Detector::name).join(", ");
            return Some((
                "risk.weights.behaviour",
                format!("there is no detector `{name}`; there are {known}"),
            ));
        }
        let is_country =
            |name: &String| name.len() == 2 && name.bytes().all(|byte| byte.is_ascii_uppercase());
        if let Some(name) = self.countries.keys().find(|name| !is_country(name)) {
            return Some((
                "risk.weights.countries",
                format!("`{name}` is no country: write two capitals, as `DE`"),
            ));
        }
        let name = self.asns.keys().find(|name| name.parse::<u32>().is_err())?;
        Some(("risk.weights.asns", format!("`{name}` is no number of a network: write it as `64496`")))
    }

    /// All that speaks against a request with `findings` by a source of `standing`.
    pub(super) fn evidence(&self, findings: &[Finding], standing: &Standing) -> Vec<Evidence> {
        let mut evidence: Vec<_> = findings
            .iter()
            .map(|finding| {
                Evidence::of_finding(finding, self.classes.get(&finding.class).copied().unwrap_or(1.0))
            })
            .collect();
        self.of_standing(standing, &mut evidence);
        evidence
    }

    /// What a term weighs by these.
    pub(super) fn of(&self, term: &Term) -> f64 {
        match term.kind {
            Kind::Finding => {
                let class = self.classes.iter().find(|(class, _)| class.name() == term.family);
                class.map_or(1.0, |(_, &weight)| weight)
            }
            Kind::Behaviour => self.behaviour.get(&*term.rule).copied().unwrap_or(1.0),
            Kind::Incidents if term.rule == INDICATOR => self.indicators,
            Kind::Incidents => self.incidents,
            Kind::Reputation => self.reputation,
            Kind::Origin => match &*term.rule {
                "tor" => self.tor,
                "proxy" => self.proxy,
                "hosting" => self.hosting,
                "country" => self.countries.get(&term.matched).copied().unwrap_or(0.0),
                "asn" => self.asns.get(&term.matched).copied().unwrap_or(0.0),
                // Of a kind that this release does not know.
                _ => term.weight,
            },
        }
    }

    fn of_standing(&self, standing: &Standing, evidence: &mut Vec<Evidence>) {
        let mut add = |kind, rule: &'static str, matched: String, confidence: f64, weight: f64| {
            if confidence * weight > 0.0 {
                evidence.push(Evidence {
                    kind,
                    rule: rule.into(),
                    family: rule.into(),
                    place: None,
                    matched,
                    confidence,
                    weight,
                });
            }
        };
        for (detector, sure) in standing.behaviour() {
            let weight = self.behaviour.get(detector.name()).copied().unwrap_or(1.0);
            add(Kind::Behaviour, detector.name(), detector.about().into(), sure, weight);
        }
        let past = standing.weight();
        add(Kind::Incidents, "earlier-incidents", "they fade by half each hour".into(), past, self.incidents);
        if let Some(sure) = standing.indicator() {
            let told = "attacks of the last days from its address or its neighbourhood".into();
            add(Kind::Incidents, INDICATOR, told, f64::from(sure), self.indicators);
        }
        if let Some(reputation) = standing.reputation() {
            let told = "what others say of the source".into();
            add(Kind::Reputation, "reputation", told, f64::from(reputation), self.reputation);
        }
        if let Some(policy) = standing.policy() {
            add(Kind::Origin, "place", "the operator's policy on its place".into(), 1.0, f64::from(policy));
        }
        let Some(Origin { country, asn, is_hosting, is_tor, is_proxy }) = standing.origin() else { return };
        if is_tor {
            add(Kind::Origin, "tor", "an exit of Tor".into(), 1.0, self.tor);
        }
        if is_proxy {
            add(Kind::Origin, "proxy", "a public proxy or VPN".into(), 1.0, self.proxy);
        }
        if is_hosting {
            add(Kind::Origin, "hosting", "a data centre".into(), 1.0, self.hosting);
        }
        // Every source is somewhere: no text is made of it where no place weighs anything.
        let country = country.filter(|_| !self.countries.is_empty());
        let asn = asn.filter(|_| !self.asns.is_empty());
        if let Some(code) = country.map(|code| String::from_utf8_lossy(&code).into_owned()) {
            let weight = self.countries.get(&code).copied().unwrap_or(0.0);
            add(Kind::Origin, "country", code, 1.0, weight);
        }
        if let Some(number) = asn.map(|asn| asn.to_string()) {
            let weight = self.asns.get(&number).copied().unwrap_or(0.0);
            add(Kind::Origin, "asn", number, 1.0, weight);
        }
    }
}
