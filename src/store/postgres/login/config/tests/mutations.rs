//! Connection strings with mistakes: whatever becomes of them, no message holds a piece of the password. With more than two
//! mistakes a string can be one that has the password for its host's name, which nobody could tell.

use super::{environment, options};
use crate::store::postgres::login::config::Target;

/// Makes the same numbers on every run (xorshift64*).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).unwrap() % limit
    }

    fn one_of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

/// Passwords as they are, some of which would have to be escaped.
const SECRETS: [&str; 6] = [
    "hunt2horse",
    "Tr0ub4dor9XkQ",
    "9182736450",
    "k=Zq7w&Vb3?Mx/",
    "Zq7@Vb3x:Mp9=Lw2",
    "Hx5 Jq8'Wv2%41Tz",
];

/// Strings with `SECRET` for the password.
const STRINGS: [&str; 13] = [
    "postgres://app:SECRET@db",
    "postgres://app:SECRET@db/app",
    "postgresql://app:SECRET@db.example.com:5432/app?sslmode=require",
    "postgres://app:SECRET@db1:5432,db2:5433/app?target_session_attrs=read-write&connect_timeout=5",
    "postgres://app:SECRET@[::1]:5432/app?application_name=x",
    "postgres://app:SECRET@%2Frun%2Fpostgresql/app",
    "postgres://db/app?user=app&password=SECRET&sslmode=require",
    "postgres://db/app?sslrootcert=/etc/ca.crt&password=SECRET&user=app",
    "host=db port=5432 user=app password=SECRET dbname=app",
    "user=app password='SECRET' host=db dbname=app sslmode=require",
    "host=/run/postgresql user=app dbname=app password=SECRET",
    "sslmode=verify-full sslrootcert=/etc/ca.crt passfile=/etc/pgpass password=SECRET host=db",
    "dbname=app password = SECRET application_name='my app' host=db connect_timeout=5",
];

/// What separates, quotes or escapes in one of the forms.
const SPECIAL: [char; 18] = [
    ' ', '\'', '"', '%', '&', '=', '?', '@', ':', '/', '#', ',', '\\', '[', ']', '\n', '+', ';',
];

fn mutate(text: &mut Vec<char>, numbers: &mut Numbers) {
    if text.len() < 2 {
        return;
    }
    let at = numbers.below(text.len());
    match numbers.below(6) {
        0 => {
            text.remove(at);
        }
        1 => text.insert(at, numbers.one_of(&SPECIAL)),
        2 => text.swap(at.max(1) - 1, at.max(1)),
        3 => text[at] = numbers.one_of(&SPECIAL),
        // The one mistake that people make most: a part of the scheme is missing, or all of it.
        4 => {
            let scheme = text.iter().take_while(|c| c.is_alphabetic()).count() + 3;
            text.drain(..numbers.below(scheme.min(text.len())));
        }
        // Of its `://`, something is missing.
        _ => {
            if let Some(colon) = text.iter().position(|c| *c == ':') {
                let end = (colon + 1 + numbers.below(3)).min(text.len());
                text.drain(colon + numbers.below(2)..end);
            }
        }
    }
}

/// All that messages may show of a string: the error, or else what later errors name.
fn shown(text: &str) -> String {
    match Target::parse(options(text), &environment(&[])) {
        Err(error) => error.to_string(),
        Ok(target) => {
            let hosts = target.hosts.iter();
            let hosts = hosts.map(|host| format!("{} {:?}", host.name, host.password_hint));
            format!("{} {}", target.name(), hosts.collect::<Vec<_>>().join(" "))
        }
    }
}

/// Pieces of four characters.
fn pieces(secret: &str) -> Vec<String> {
    let characters: Vec<char> = secret.chars().collect();
    characters.windows(4).map(|piece| piece.iter().collect()).collect()
}

#[test]
fn no_message_holds_a_piece_of_the_password_of_a_string_with_mistakes() {
    let mut numbers = Numbers(20_260_926);
    let mut leaks = Vec::new();
    for round in 0..20_000 {
        let secret = numbers.one_of(&SECRETS);
        let mut text: Vec<char> = numbers.one_of(&STRINGS).replace("SECRET", secret).chars().collect();
        for _ in 0..=numbers.below(2) {
            mutate(&mut text, &mut numbers);
        }
        let text: String = text.into_iter().collect();
        let shown = shown(&text);
        if pieces(secret).iter().any(|piece| shown.contains(piece)) {
            leaks.push(format!("{round}: {text:?} shows {shown:?}"));
        }
    }
    assert!(leaks.is_empty(), "{} leaked:\n{}", leaks.len(), leaks.join("\n"));
}
