//! What is measured at one moment, for whoever judges or keeps it.

/// One value, and what it is of.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Its name, as rules of alerts and the history know it.
    pub name: String,
    /// Which of several: names of labels and their values, in the order of the names.
    pub labels: Vec<(String, String)>,
    /// The value: a gauge as it is, a counter as its growth a second.
    pub value: f64,
}

impl Reading {
    /// A reading without labels.
    pub fn new(name: &str, value: f64) -> Self {
        Self { name: name.to_owned(), labels: Vec::new(), value }
    }

    /// A reading with one label.
    pub fn of(name: &str, label: &str, which: &str, value: f64) -> Self {
        Self { name: name.to_owned(), labels: vec![(label.to_owned(), which.to_owned())], value }
    }

    /// Its labels for people and as a key: `device=sda`, several with commas between; empty without any.
    pub fn which(&self) -> String {
        let pairs: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    }
}

/// All readings of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    sorted: Vec<Reading>,
}

impl Readings {
    /// Those of `all` that are numbers.
    pub fn new(mut all: Vec<Reading>) -> Self {
        all.retain(|reading| reading.value.is_finite());
        all.sort_by(|one, other| one.name.cmp(&other.name).then_with(|| one.labels.cmp(&other.labels)));
        Self { sorted: all }
    }

    /// Every reading of this name.
    pub fn named(&self, name: &str) -> &[Reading] {
        let begin = self.sorted.partition_point(|reading| reading.name.as_str() < name);
        let end = self.sorted.partition_point(|reading| reading.name.as_str() <= name);
        self.sorted.get(begin..end).unwrap_or_default()
    }

    /// The value of the first reading of this name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.named(name).first().map(|reading| reading.value)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.sorted.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_found_by_name_and_what_is_no_number_is_left_out() {
        let readings = Readings::new(vec![
            Reading::of("disk", "mountpoint", "/var", 0.5),
            Reading::new("cpu", 0.2),
            Reading::of("disk", "mountpoint", "/", 0.4),
            Reading::new("disks", f64::NAN),
        ]);
        let disks: Vec<_> = readings.named("disk").iter().map(Reading::which).collect();
        assert_eq!(disks, ["mountpoint=/", "mountpoint=/var"]);
        assert_eq!(
            (readings.value("cpu"), readings.value("disks"), readings.value("di")),
            (Some(0.2), None, None)
        );
    }
}
