//! One place for every key: what a field says of itself is the struct's documentation, the default that is used, and
//! the line of `oncegate config example`.

/// One key of a section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// As written in the file.
    pub key: &'static str,
    /// What it is, in lines.
    pub doc: &'static [&'static str],
    /// Its Rust type; [`super::example`] says what people write for it.
    pub kind: &'static str,
    /// What to show for a key that has no default.
    pub example: Option<&'static str>,
}

/// A table of the config file: `key: Type = default;`, or `key: Type = default => "what to show in the example";`, then
/// the tables within it as `[key: Type];`.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident {
            $( $(#[doc = $doc:literal])* $field:ident : $type:ty = $default:expr $(=> $example:literal)?; )*
            $( $(#[serde(rename = $key:literal)])? [$table:ident : $table_type:ty]; )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, PartialEq, Debug, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $field: $type, )*
            $(
                #[doc = concat!("The table, or tables, of `", stringify!($table_type), "`.")]
                $(#[serde(rename = $key)])?
                pub $table: $table_type,
            )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )* $( $table: <$table_type>::default(), )* }
            }
        }

        impl $name {
            /// What the section is for, in lines.
            pub const ABOUT: &'static [&'static str] = &[$($about),*];

            /// Its keys, without the tables within it.
            pub const FIELDS: &'static [$crate::config::section::Field] = &[
                $( $crate::config::section::Field {
                    key: stringify!($field),
                    doc: &[$($doc),*],
                    kind: stringify!($type),
                    example: section!(@example $($example)?),
                }, )*
            ];
        }
    };
    (@example) => { None };
    (@example $example:literal) => { Some($example) };
}

pub(crate) use section;
