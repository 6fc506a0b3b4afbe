use std::collections::HashMap;

use certadm_wire::csra::encode_numbers;

use super::*;
use crate::property::NEWEST;

/// A CA that answers from tables, and refuses all else.
#[derive(Default)]
struct Scripted {
    properties: HashMap<(i32, i32), Vec<u8>>,
    configuration: Configuration,
    /// Whether it lists the names of values.
    lists: bool,
    /// The code of all refusals.
    refusal: Option<Hresult>,
    /// So many questions are answered before the connection is gone.
    patience: Option<usize>,
    asked: Vec<String>,
}

impl Scripted {
    fn windows() -> Self {
        let info = CaInfo {
            ca_type: 1,
            certificates: 2,
            highest_property: 45,
            recovery_agents: 1,
            exit_modules: 1,
            ..CaInfo::default()
        };
        let text = |text: &str| PropertyValue::Text(text.to_owned()).encode();
        let der = vec![0x30, 0x00];
        let mut scripted = Self { lists: true, ..Self::default() };
        scripted.properties = HashMap::from([
            ((10, 0), info.encode()),
            ((6, 0), text("Corp CA")),
            ((7, 0), text("Corp CA")),
            ((22, 0), text("ca1.corp.example")),
            ((4, 0), text("Windows default")),
            ((12, 0), der.clone()),
            ((12, 1), der.clone()),
            ((17, 1), der.clone()),
            ((18, 1), b"no DER".to_vec()),
            ((26, 0), der.clone()),
            ((35, 0), der),
            ((29, 0), text("WebServer\n1.2.3\nEFS\n\n")),
            ((39, 0), encode_numbers(&[0, 0x0001_0001])),
            ((41, NEWEST), text("http://a/b.crl")),
        ]);
        for (path, name, value) in [
            ("", "Active", Value::Text("Corp CA".into())),
            ("Corp CA", "CommonName", Value::Text("Corp CA".into())),
            ("Corp CA", "Security", Value::Bytes(vec![1, 0])),
            ("Corp CA\\CSP", "Provider", Value::Text("HSM".into())),
            ("Corp CA\\PolicyModules", "Active", Value::Text("Mod".into())),
            ("Corp CA\\ExitModules", "Active", Value::List(vec!["Exit".into(), String::new()])),
            ("Corp CA\\PolicyModules\\Mod", "EditFlags", Value::Number(7)),
            ("Corp CA\\ExitModules\\Exit", "PublishCertFlags", Value::Number(1)),
            ("Corp CA\\ExitModules\\Exit\\SMTP", "SMTPServer", Value::Text("mail".into())),
            ("Corp CA\\ExitModules\\Exit\\SMTP\\Denied", "To", Value::Text("x".into())),
        ] {
            scripted.configuration.set(path, name, value);
        }
        scripted
    }

    fn refuse<T>(&mut self, what: String) -> Result<T, Refusal> {
        self.asked.push(what);
        Err(Refusal::of_code(self.refusal.unwrap_or(Hresult::ERROR_FILE_NOT_FOUND)))
    }

    fn is_gone(&mut self) -> Result<(), Refusal> {
        match self.patience.as_mut() {
            Some(0) => Err(Refusal { code: Hresult::RPC_S_CALL_FAILED, text: "gone".into(), is_final: true }),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Answers for Scripted {
    fn property(&mut self, id: i32, index: i32, _kind: i32, _most: usize) -> Result<Vec<u8>, Refusal> {
        self.is_gone()?;
        match self.properties.get(&(id, index)) {
            Some(blob) => Ok(blob.clone()),
            None => self.refuse(format!("{id} {index}")),
        }
    }

    fn config(&mut self, key: ConfigKey<'_>, entry: &str) -> Result<Variant, Refusal> {
        self.is_gone()?;
        let path = match key {
            ConfigKey::Top => String::new(),
            ConfigKey::Ca { name, node: "" } => name.to_owned(),
            ConfigKey::Ca { name, node } => format!("{name}\\{node}"),
        };
        let found = self.configuration.keys.iter().find(|key| key.path == path);
        match (found, entry) {
            (Some(key), "") if self.lists => {
                Ok(Variant::Texts(key.values.iter().map(|(name, _)| name.clone()).collect()))
            }
            (Some(_), entry) if !entry.is_empty() && self.configuration.get(&path, entry).is_some() => {
                Ok(self.configuration.get(&path, entry).unwrap().to_variant())
            }
            _ => self.refuse(format!("{path}: {entry}")),
        }
    }
}

fn paths(fetched: &Fetched) -> Vec<&str> {
    fetched.files.iter().map(|file| file.path.as_str()).collect()
}

#[test]
fn everything_that_a_windows_ca_has_is_fetched() {
    let mut ca = Scripted::windows();
    let fetched = fetch(&mut ca);
    assert_eq!((fetched.ca_name.as_str(), fetched.host.as_str()), ("Corp CA", "ca1.corp.example"));
    assert_eq!(
        paths(&fetched),
        [
            "Certificates/ca-0.crt",
            "Cross/forward-0.crt",
            "Certificates/ca-1.crt",
            "Kra/kra-0.crt",
            "Templates.json",
            "Crls/base-1.crl",
            "Crls/delta-1.crl",
            "Properties.json",
            "Config/config.json",
            "Config/config.reg",
        ]
    );
    assert_eq!(fetched.configuration, ca.configuration);
    let templates = fetched.files.iter().find(|file| file.role == Role::Templates).unwrap();
    let templates: Json = serde_json::from_slice(&templates.content).unwrap();
    assert_eq!(
        templates["templates"],
        json!([{"name": "WebServer", "oid": "1.2.3"}, {"name": "EFS", "oid": ""}])
    );
    // What many CAs do not have is noted, and is nothing amiss; what is no CRL is told.
    let details: Vec<&str> = fetched.findings.iter().map(|finding| finding.detail.as_str()).collect();
    assert_eq!(details, ["GetCAProperty 18 (Delta CRL) 1 is no DER; it is kept as it came"]);
    assert!(fetched.refused.iter().all(|refused| refused.expected), "{:?}", fetched.refused);
    assert!(fetched.refused.iter().any(|refused| refused.what == "GetCAProperty 17 (Base CRL) 0"));
}

#[test]
fn a_ca_that_lists_no_names_is_asked_for_those_that_are_known() {
    let mut ca = Scripted { lists: false, ..Scripted::windows() };
    let fetched = fetch(&mut ca);
    assert_eq!(fetched.configuration.text("Corp CA", "CommonName"), Some("Corp CA"));
    assert_eq!(fetched.configuration.get("Corp CA", "Security"), Some(&Value::Bytes(vec![1, 0])));
    let told: String = fetched.findings.iter().map(|finding| finding.detail.clone()).collect();
    assert!(told.contains("the names of the values of Configuration"), "{told}");
}

#[test]
fn a_refusal_for_want_of_a_right_is_one_finding_with_what_to_do() {
    let mut ca = Scripted { refusal: Some(Hresult::E_ACCESSDENIED), ..Scripted::default() };
    let fetched = fetch(&mut ca);
    assert!(fetched.is_empty());
    let [finding] = fetched.findings.as_slice() else { panic!("{:?}", fetched.findings) };
    assert_eq!(finding.code, Hresult::E_ACCESSDENIED);
    assert!(finding.remedy.as_deref().unwrap().contains("Read"), "{finding:?}");
    assert!(finding.detail.contains("more"), "{finding}");
    assert!(fetched.refused.iter().all(|refused| !refused.expected));
}

#[test]
fn a_connection_that_breaks_ends_the_questions_and_keeps_the_answers() {
    for patience in 0..50 {
        let mut ca = Scripted { patience: Some(patience), ..Scripted::windows() };
        let fetched = fetch(&mut ca);
        let lost = |finding: &&Finding| finding.code == Hresult::RPC_S_CALL_FAILED;
        assert_eq!(fetched.findings.iter().filter(lost).count(), 1, "{patience}");
        assert_eq!(fetched.is_empty(), patience == 0, "{patience}");
    }
}

/// A CRL that is too large ends the connection. All else has come by then.
#[test]
fn a_crl_that_costs_the_connection_costs_nothing_else() {
    struct Large {
        ca: Scripted,
        allowed: Vec<u64>,
    }
    impl Answers for Large {
        fn property(&mut self, id: i32, index: i32, kind: i32, most: usize) -> Result<Vec<u8>, Refusal> {
            self.allowed.push(most as u64);
            let answer = self.ca.property(id, index, kind, most);
            if (id, index) == (18, 1) {
                self.ca.patience = Some(0);
                return self.ca.property(id, index, kind, most);
            }
            answer
        }
        fn config(&mut self, key: ConfigKey<'_>, entry: &str) -> Result<Variant, Refusal> {
            self.ca.config(key, entry)
        }
    }
    let mut ca = Large { ca: Scripted::windows(), allowed: Vec::new() };
    let fetched = fetch(&mut ca);
    assert_eq!(
        paths(&fetched),
        [
            "Certificates/ca-0.crt",
            "Cross/forward-0.crt",
            "Certificates/ca-1.crt",
            "Kra/kra-0.crt",
            "Templates.json",
            "Crls/base-1.crl",
            "Properties.json",
            "Config/config.json",
            "Config/config.reg",
        ]
    );
    assert_eq!(fetched.configuration, ca.ca.configuration);
    // What has come already is not allowed a second time.
    assert_eq!(ca.allowed[0], MAX_TOTAL);
    assert!(ca.allowed.is_sorted_by(|before, after| after <= before), "{:?}", ca.allowed);
    assert!(ca.allowed.last() < ca.allowed.first());
}

#[test]
fn numbers_and_names_from_a_hostile_ca_are_bounded_and_never_paths() {
    let info = CaInfo {
        certificates: u32::MAX,
        recovery_agents: u32::MAX,
        exit_modules: u32::MAX,
        highest_property: 50,
        ..CaInfo::default()
    };
    let evil = "..\\..\\..\\etc/passwd";
    let mut ca = Scripted { lists: true, ..Scripted::default() };
    ca.properties.insert((10, 0), info.encode());
    ca.properties.insert((6, 0), PropertyValue::Text(evil.to_owned()).encode());
    ca.configuration.set("", "Active", Value::Text(evil.to_owned()));
    ca.configuration.set(evil, "a\nb", Value::Text("c\nd".to_owned()));
    let fetched = fetch(&mut ca);
    assert_eq!(paths(&fetched), ["Properties.json", "Config/config.json", "Config/config.reg"]);
    assert!(ca.asked.len() < 2500, "{}", ca.asked.len());
    let told: String = fetched.findings.iter().map(|finding| finding.detail.clone()).collect();
    assert!(told.contains("4294967295 certificates") && told.contains("no registry file can have"), "{told}");
    let mut bare = Scripted::default();
    bare.properties.insert((10, 0), 3u32.to_le_bytes().to_vec());
    let told: String = fetch(&mut bare).findings.iter().map(|finding| finding.detail.clone()).collect();
    assert!(told.contains("no CAINFO"), "{told}");
}

/// How much memory it takes, whatever it says: each kind of answer, long or in many pieces, and long names in refusals.
#[test]
fn the_texts_of_a_hostile_ca_are_bounded() {
    /// Lists many names, and answers each of them, or refuses it.
    struct Endless {
        names: Vec<String>,
        answer: Option<Variant>,
        sent: usize,
    }
    impl Answers for Endless {
        fn property(&mut self, _: i32, _: i32, _: i32, _: usize) -> Result<Vec<u8>, Refusal> {
            Err(Refusal::of_code(Hresult::ERROR_FILE_NOT_FOUND))
        }
        fn config(&mut self, _: ConfigKey<'_>, entry: &str) -> Result<Variant, Refusal> {
            let module = "m".repeat(100_000);
            self.sent += 1;
            match (entry, &self.answer) {
                ("", _) => Ok(Variant::Texts(self.names.clone())),
                // The name of a module is a part of what is said of each of its values.
                ("Active", None) => Ok(Variant::Text(Some(module))),
                (_, Some(answer)) => Ok(answer.clone()),
                (_, None) => Err(Refusal::of_code(Hresult::ERROR_FILE_NOT_FOUND)),
            }
        }
    }
    let mut names: Vec<String> = (0..500).map(|number| format!("name {number}")).collect();
    names.insert(0, "Active".to_owned());
    for answer in [
        Some(Variant::Text(Some("t".repeat(100_000)))),
        Some(Variant::Texts(vec![String::new(); 3000])),
        Some(Variant::Bytes(vec![0; 100_000])),
        None,
    ] {
        let mut ca = Endless { names: names.clone(), answer, sent: 0 };
        let fetched = fetch(&mut ca);
        assert!(ca.sent < 700, "{} answers", ca.sent);
        let told = fetched.findings.iter().filter(|one| one.detail.contains("more than 4 MiB"));
        assert_eq!(told.count(), 1, "{} findings", fetched.findings.len());
    }
    // Names that are long themselves.
    let names = vec!["n".repeat(10_000); 4000];
    let mut ca = Endless { names, answer: Some(Variant::Long(1)), sent: 0 };
    let fetched = fetch(&mut ca);
    assert!(ca.sent < 3, "{} answers", ca.sent);
    assert!(fetched.findings.iter().any(|one| one.detail.contains("more than 4 MiB")));
}
