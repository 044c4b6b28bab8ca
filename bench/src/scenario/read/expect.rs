//! The `[expect]` table.

use crate::scenario::compare::{Comparison, Relation};
use crate::scenario::expect::{Condition, Expect, Expectation, Fact, FactKind};
use crate::scenario::refusal::{Refusal, Words, integer};
use crate::scenario::section::Section;
use crate::scenario::tree::Value;
use crate::scenario::units::{Quantity, Share};

pub(super) fn read(table: &mut Section<'_, '_>) -> Expect {
    let mut expectations = Vec::new();
    for fact in Fact::ALL {
        let condition = table.optional(fact.name(), |value| condition(*fact, value));
        expectations.extend(condition.map(|condition| Expectation {
            fact: *fact,
            condition,
        }));
    }
    Expect { expectations }
}

fn condition(fact: Fact, value: &Value) -> Result<Condition, Refusal> {
    let name = fact.name();
    let parsed = |message| Refusal::new(message, format!("for example {name} = \">= 1\""));
    match fact.kind() {
        FactKind::Number => match value {
            Value::Text(text) => Ok(Condition::Number(Comparison::parse(text).map_err(parsed)?)),
            Value::Integer(_) => {
                let bound = f64::from(integer(value, &(0..=i32::MAX), 0)?);
                Ok(Condition::Number(Comparison {
                    relation: Relation::Equal,
                    bound,
                }))
            }
            other => Err(Refusal::kind(
                "a comparison or a number",
                other,
                &format!("{name} = \">= 1\""),
            )),
        },
        FactKind::Share => match value {
            Value::Text(text) => Comparison::<Share>::parse(text)
                .map(Condition::Share)
                .map_err(|message| {
                    Refusal::new(
                        message,
                        format!("for example {name} = \">= {}\"", Share::of(0.95).render()),
                    )
                }),
            other => Err(Refusal::kind(
                "a comparison",
                other,
                &format!("{name} = \">= 95%\""),
            )),
        },
        FactKind::Replicas => match value {
            Value::Array(items) => {
                let ids = items
                    .iter()
                    .map(|item| integer(&item.value, &(0..=u32::from(u16::MAX)), 0));
                Ok(Condition::Replicas(ids.collect::<Result<_, _>>()?))
            }
            other => Err(Refusal::kind(
                "a list of replicas",
                other,
                &format!("{name} = [0]"),
            )),
        },
        FactKind::Word => {
            let words = Fact::VERDICTS.map(|word| (word, word));
            Words {
                now: &words,
                later: &[],
            }
            .read(value)
            .map(|word| Condition::Word(word.to_owned()))
        }
    }
}
