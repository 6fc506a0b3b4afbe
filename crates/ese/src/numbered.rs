//! Numbers of the format as enumerations, none of them refused.

/// Makes an enumeration out of rows `Name = number`. A number that has no name stays as it is, in `Unknown`: whether it
/// matters is for the code that uses the field to say.
macro_rules! numbered {
    (
        $(#[$about:meta])*
        pub enum $enum:ident: $int:ty {
            $($(#[$name_about:meta])* $name:ident = $number:literal,)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$name_about])* $name,)*
            /// Any other number.
            Unknown($int),
        }

        impl From<$int> for $enum {
            fn from(number: $int) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Unknown(other),
                }
            }
        }
    };
}

pub(crate) use numbered;
