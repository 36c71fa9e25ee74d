//! Random commands, time and restarts, against the model.

mod drive;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use super::{
    model::{Ask, Command, Edit, Hold, Model},
    world::START,
};
use crate::domain::{Backoff, EntityLimit, EntityLimits, Millis, QueueRules, Status};

use drive::Driven;

/// One step of the machine.
#[derive(Debug, Clone)]
enum Step {
    /// Commands that are committed together, as much later than the last ones.
    Group { later: Millis, commands: Vec<Command> },
    /// The process ends and starts again.
    Restart,
}

/// The reference side: the model alone.
struct Reference;

impl ReferenceStateMachine for Reference {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        let aging = prop_oneof![Just(60_000), Just(1_000), Just(0)];
        let limits = prop_oneof![3 => Just((100_000, 100_000)), 1 => Just((6, 4))];
        let share =
            prop_oneof![Just((10_000, 2_000)), Just((1_000, 3_000)), Just((10_000, 0)), Just((0, 2_000))];
        let caps = prop_oneof![2 => Just((20, 100, 100)), 1 => Just((3, 2, 100)), 1 => Just((20, 100, 2))];
        let expiry = prop_oneof![2 => Just(None), 1 => Just(Some(30_000))];
        let limits_of = (prop::option::of(20..200u32), 1..4u32, prop::option::of(1..3u32)).prop_map(
            |(per_minute, burst, in_flight)| EntityLimit { per_minute, burst: Some(burst), in_flight },
        );
        let entity_limits = prop_oneof![
            2 => Just(EntityLimits::default()),
            1 => (limits_of.clone(), limits_of).prop_map(|(default, own)| EntityLimits {
                default,
                entities: BTreeMap::from([("e0".to_owned(), own)]),
            }),
        ];
        (aging, prop::bool::weighted(0.7), limits, share, (caps, entity_limits), expiry)
            .prop_map(
                |(
                    aging_ms,
                    one_per_conversation,
                    limits,
                    (fair_share_ms, address_share_ms),
                    (caps, entity_limits),
                    pending_expiry_ms,
                )| {
                    QueueRules {
                        aging_ms,
                        one_per_conversation,
                        max_pending: limits.0,
                        max_pending_per_entity: limits.1,
                        max_attempts: caps.0,
                        max_edits: caps.1,
                        max_worker_claims: caps.2,
                        fair_share_ms,
                        address_share_ms,
                        pending_expiry_ms,
                        entity_limits,
                        backoff: Backoff { first_ms: 300, cap_ms: 6_000 },
                        ..QueueRules::default()
                    }
                },
            )
            .prop_map(|rules| Model::new(rules, START))
            .boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Step> {
        let group = (later(), prop::collection::vec(command(), 0..4));
        prop_oneof![
            24 => group.prop_map(|(later, commands)| Step::Group { later, commands }),
            1 => Just(Step::Restart),
        ]
        .boxed()
    }

    fn apply(mut model: Model, step: &Step) -> Model {
        match step {
            Step::Group { later, commands } => model.group(*later, commands),
            Step::Restart => {
                model.restart();
                model.group(0, &[]);
            }
        }
        model
    }
}

fn later() -> impl Strategy<Value = Millis> {
    let day: Millis = 24 * 3_600_000;
    prop_oneof![
        8 => Just(0),
        8 => 1..2_000i64,
        4 => 2_000..12_000i64,
        1 => 60_000..1_000_000i64,
        1 => day - 5_000..day + 5_000,
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => (ask(), prop::option::weighted(0.3, 0..3u8)).prop_map(|(ask, key)| Command::Post(ask, key)),
        1 => prop::option::of(pick()).prop_map(Command::Say),
        4 => (pick(), 0..4u8, prop::option::of(5_000..40_000i64))
            .prop_map(|(message, worker, asked)| Command::Claim { message, worker, asked }),
        3 => (hold(), prop::option::of(5_000..600_000i64)).prop_map(|(hold, ms)| Command::Renew(hold, ms)),
        2 => hold().prop_map(Command::Release),
        1 => hold().prop_map(Command::HoldBack),
        6 => (hold(), any::<bool>()).prop_map(|(hold, reply)| Command::Complete { hold, reply }),
        4 => (hold(), prop::bool::weighted(0.9), prop::option::of(1..20_000i64)).prop_map(
            |(hold, retryable, retry_after_ms)| Command::Fail { hold, retryable, retry_after_ms }
        ),
        2 => pick().prop_map(Command::Retry),
        1 => pick().prop_map(Command::Cancel),
        1 => (any::<bool>(), 0..2u8, any::<bool>(), 1..4usize).prop_map(
            |(by_author, who, in_work, most)| Command::CancelAll { by_author, who, in_work, most }
        ),
        1 => pick().prop_map(Command::Delete),
        1 => pick().prop_map(Command::Hide),
        1 => pick().prop_map(Command::Unhide),
        2 => (pick(), edit()).prop_map(|(n, edit)| Command::Update(n, edit)),
        2 => (0..3u8, 1..4usize, entities())
            .prop_map(|(session, room, entities)| Command::Join { session, room, entities }),
        1 => (entities(), 0..25_000i64).prop_map(|(entities, ms)| Command::Wait { entities, ms }),
        2 => pick().prop_map(Command::Part),
        1 => (0..2u8, 1_000..30_000i64).prop_map(|(author, ms)| Command::Block { author, ms }),
        1 => (0..2u8).prop_map(Command::Unblock),
        1 => (0..2u8).prop_map(Command::Pause),
        3 => (0..2u8).prop_map(Command::Resume),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let priority = prop_oneof![2 => Just(5), 1 => 0..100u32];
    let author = prop_oneof![1 => Just(None), 3 => (0..4u8).prop_map(Some)];
    let times = (prop::option::weighted(0.2, -1_000..20_000i64), prop::option::weighted(0.2, -10..30_000i64));
    (0..3u8, prop::bool::weighted(0.2), 0..2u8, priority, author, times).prop_map(
        |(human, god_mode, entity, priority, author, (not_before, expires_at))| Ask {
            human,
            god_mode,
            entity,
            priority,
            author,
            not_before,
            expires_at,
        },
    )
}

fn hold() -> impl Strategy<Value = Hold> {
    prop_oneof![
        8 => pick().prop_map(Hold::Token),
        2 => (pick(), 0..4u8).prop_map(|(n, worker)| Hold::Worker(n, worker)),
        1 => pick().prop_map(Hold::Guess),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    let status = prop_oneof![
        Just(Status::Pending),
        Just(Status::Processing),
        Just(Status::Complete),
        Just(Status::Failed),
    ];
    let text = prop::option::of(prop_oneof![Just("asked".to_owned()), Just("edited".to_owned())]);
    (text, prop::option::weighted(0.3, 0..100u32), prop::option::of(status), any::<bool>())
        .prop_map(|(text, priority, status, by_author)| Edit { text, priority, status, by_author })
}

fn entities() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![2 => Just(vec![]), 1 => Just(vec![0]), 1 => Just(vec![1]), 1 => Just(vec![0, 1])]
}

/// Mostly one of the newest.
fn pick() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..4usize, 1 => 0..100usize]
}

/// The queue under test.
struct Rules;

impl StateMachineTest for Rules {
    type SystemUnderTest = Driven;
    type Reference = Reference;

    fn init_test(model: &Model) -> Driven {
        Driven::new(model.rules.clone())
    }

    fn apply(mut driven: Driven, model: &Model, step: Step) -> Driven {
        match step {
            Step::Group { later, commands } => driven.group(later, &commands, model),
            Step::Restart => {
                driven.restart();
                driven.group(0, &[], model);
            }
        }
        driven
    }

    fn check_invariants(driven: &Driven, model: &Model) {
        driven.check_messages(model);
        driven.check_order(model);
        driven.check_log();
        driven.check_deadline(model);
        driven.check_fold();
        driven.check_sessions(model);
        driven.check_held_back(model);
    }

    fn teardown(mut driven: Driven, _: Model) {
        driven.drain();
        driven.check_log();
    }
}

prop_state_machine! {
    #![proptest_config(Config { cases: 256, failure_persistence: None, ..Config::default() })]

    #[test]
    fn the_queue_does_what_the_model_does(sequential 1..100 => Rules);
}
