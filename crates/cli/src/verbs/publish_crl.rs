//! `certadm publish-crl`: a CA that is back publishes CRLs until their number is above that of the emergency CRL
//! (recovery.md 4.5).

use certadm_client::RemoteCa;
use certadm_recovery::PublishedCrl;
use certadm_rules::words::counted;
use clap::Args;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{Done, Output};
use crate::verbs::remote::RemoteArgs;

/// Nobody wants so many CRLs published one after the other: the number is wrong, or the CA needs another way.
const MOST: i64 = 1000;

/// `certadm publish-crl`
#[derive(Debug, Args)]
#[command(
    after_help = "Example: certadm publish-crl --server ca1 --user administrator --until-number 1043\n\
    Example: certadm publish-crl --server ca1 --user administrator --until-number 1043 --yes\n\
    Our own CA: `certadm ca crl`; its number is above that of the emergency CRL by itself.",
    group = clap::ArgGroup::new("ca").args(["server", "socket"]).required(true)
)]
pub(crate) struct PublishCrlArgs {
    #[command(flatten)]
    remote: RemoteArgs,
    /// The number of the emergency CRL, which report.json has: publish until the number of the CA's base CRL is above it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    until_number: i64,
    /// Do it. If not given, say how many CRLs it would take: each is written to every place where the CA publishes
    #[arg(long)]
    yes: bool,
}

/// A CA that publishes when it is told to.
trait Publisher {
    /// The number of the CRL that it published last.
    fn number(&mut self) -> Result<i64, Failure>;
    /// Publishes the next one.
    fn publish(&mut self) -> Result<(), Failure>;
}

impl Publisher for RemoteCa {
    fn number(&mut self) -> Result<i64, Failure> {
        Ok(PublishedCrl::parse("the CA's CRL", &self.base_crl()?)?.number())
    }

    fn publish(&mut self) -> Result<(), Failure> {
        Ok(self.publish_base_crl()?)
    }
}

pub(crate) fn run(args: &PublishCrlArgs, output: Output) -> Result<Done, Failure> {
    let Some(dial) = args.remote.dial()? else {
        return Err(Failure::usage("no CA is named", "name it by --server NAME"));
    };
    let name = dial.name.clone();
    let mut ca = dial.connect()?;
    let before = ca.number()?;
    let (number, published) = match args.yes {
        true => until(&mut ca, before, args.until_number)?,
        false => (before, 0),
    };
    let missing = missing(number, args.until_number).max(0);
    if args.yes || missing == 0 {
        output.line(format!("{name} published {}; its number is {number}.", counted(published, "CRL")));
    } else {
        output.line(format!(
            "Nothing is done. The number of {name} is {number}; to get above {}, it publishes up to {}. Add --yes to do it.",
            args.until_number,
            counted(missing.unsigned_abs(), "CRL")
        ));
    }
    let result = json!({
        "server": name,
        "before": before,
        "number": number,
        "published": published,
        "missing": missing,
    });
    Ok(Done { exit: Exit::Good, result })
}

/// How many numbers the CA has to go on until it is above that of the emergency CRL: two CRLs of one number would be taken for one.
const fn missing(number: i64, emergency: i64) -> i64 {
    emergency.saturating_sub(number).saturating_add(1)
}

/// Publishes until the number is above that of the emergency CRL. Returns it, and how many CRLs it took.
fn until(ca: &mut impl Publisher, before: i64, emergency: i64) -> Result<(i64, u64), Failure> {
    let missing = missing(before, emergency);
    if MOST < missing {
        let text = format!("the CA's number is {before}: to get above {emergency} takes {missing} CRLs");
        let remedy = format!("check the number in report.json; more than {MOST} are not published at once");
        return Err(Failure::usage(text, remedy));
    }
    let (mut number, mut published) = (before, 0);
    while number <= emergency {
        certadm_files::cancel::check()?;
        ca.publish()?;
        published += 1;
        let now = ca.number()?;
        if now <= number {
            let error = certadm_set::Error::Combination {
                detail: format!("the CA published a CRL, and its number is still {now}"),
                code: certadm_rules::Hresult::ERROR_INVALID_STATE,
            };
            return Err(Failure {
                remedy:
                    "look at the event log of the CA: it publishes for a part of its keys, or to no place"
                        .into(),
                ..error.into()
            });
        }
        number = now;
    }
    Ok((number, published))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CA that goes on by so much at each publication.
    struct Counting(i64, i64);

    impl Publisher for Counting {
        fn number(&mut self) -> Result<i64, Failure> {
            Ok(self.0)
        }

        fn publish(&mut self) -> Result<(), Failure> {
            self.0 += self.1;
            Ok(())
        }
    }

    #[test]
    fn it_publishes_until_the_number_is_passed_and_no_further() {
        for (step, emergency, reached, published) in [(1, 7, 8, 4), (2, 7, 8, 2), (1, 4, 5, 1), (1, 3, 4, 0)]
        {
            let ended = until(&mut Counting(4, step), 4, emergency).unwrap();
            assert_eq!(ended, (reached, published), "{step} {emergency}");
        }
    }

    #[test]
    fn a_number_that_does_not_rise_or_is_far_away_ends_it() {
        let stuck = until(&mut Counting(4, 0), 4, 7).unwrap_err();
        assert_eq!(stuck.exit, Exit::Refused);
        let far = until(&mut Counting(4, 1), 4, 4 + MOST).unwrap_err();
        assert_eq!(far.exit, Exit::Usage);
        assert!(until(&mut Counting(4, 1), 4, i64::MAX).is_err());
        assert!(until(&mut Counting(4, 1), 4, 3 + MOST).is_ok());
    }
}
