//! The desk as gate and engines meet it, on paused time.
#![allow(clippy::unwrap_used)] // In a test, also outside its functions, to panic is to fail.

mod support;

use std::sync::Arc;

use oncegate_coordinator::{Broker, Clock, Measured, Metrics};
use oncegate_engine_desk::DeskError;
use oncegate_engine_desk::wire::{Finished, Report, Task};
use oncegate_protocol::broker::LookupAnswer;
use oncegate_protocol::call::Purpose;
use oncegate_protocol::{BrokerOrderId, ClientOrderId, Epoch, Outcome, SignalState};
use support::{Fixture, SECOND, accepted, rejected};

fn b_1() -> Outcome {
    Outcome::Accepted(BrokerOrderId::new("b-1"))
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_waits_gets_the_order_and_its_word_is_the_outcome() {
    let f = Fixture::new();
    let engine = async {
        let work = f.take().await;
        let Task::Place { fingerprint, ref body, .. } = work.task else { panic!("{work:?}") };
        assert_eq!((fingerprint, body.get()), (f.signal.fingerprint, r#"{ "qty": 50.0}"#));
        assert_eq!(work.answer_within_ms, 2_000, "half of the time is the engine's after the begin");
        let begun = f.begin(&work, "k").unwrap();
        assert_eq!((begun.client_order_id.as_str(), begun.epoch, begun.number), ("og-1", Epoch(1), 1));
        assert_eq!((begun.send_within_ms, begun.answer_within_ms), (3_000, 4_000));
        f.pass(SECOND).await;
        f.desk.finish(&begun.attempt_id, accepted()).await.unwrap()
    };
    let (outcome, finished) = tokio::join!(f.desk.place(f.order(1)), engine);
    assert_eq!(outcome, b_1());
    // The store has it before the engine is told so: the gate has not written anything yet.
    assert_eq!(finished, Finished { in_time: true, state: Some(SignalState::Executed) });
    assert_eq!(f.stored().attempts[0].outcome, Some(b_1()));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_begins_is_not_sent_and_cannot_be_begun_any_more() {
    let f = Fixture::new();
    assert!(matches!(f.desk.place(f.order(1)).await, Outcome::NotSent(_)), "nobody asked");

    let started = f.clock.now().mono;
    let (outcome, work) = tokio::join!(f.desk.place(f.order(1)), f.take());
    assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
    assert_eq!(f.clock.now().mono.since(started), SECOND * 2);
    assert_eq!(f.begin(&work, "k"), Err(DeskError::WorkOver));

    // The time to send may be shorter than what the desk would wait.
    let mut order = f.order(1);
    order.send_before = f.clock.now().mono.plus(SECOND);
    let (outcome, work) = tokio::join!(f.desk.place(order), f.take());
    assert!(matches!(outcome, Outcome::NotSent(_)), "{outcome:?}");
    assert_eq!(work.answer_within_ms, 1_000);
    assert_eq!(f.begin(&work, "k"), Err(DeskError::WorkOver));
}

#[tokio::test(start_paused = true)]
async fn silence_after_a_begin_is_unknown() {
    let f = Fixture::new();
    let started = f.clock.now().mono;
    let engine = async { f.begin(&f.take().await, "k").unwrap() };
    let (outcome, _) = tokio::join!(f.desk.place(f.order(1)), engine);
    assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
    assert_eq!(f.clock.now().mono.since(started), SECOND * 4);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_repeated_to_the_same_engine_only() {
    let f = Fixture::new();
    let engine = async {
        let work = f.take().await;
        let begun = f.begin(&work, "k").unwrap();
        assert_eq!(f.begin(&work, "k"), Ok(begun.clone()));
        assert_eq!(f.begin(&work, "other"), Err(DeskError::Taken));
        f.pass(SECOND).await;
        // There is less time to send by now, and none in the end.
        assert_eq!(f.begin(&work, "k").unwrap().send_within_ms, 2_000);
        f.pass(SECOND * 2).await;
        assert_eq!(f.begin(&work, "k"), Err(DeskError::TooLate));
        let not_sent = Report::NotSent { reason: "no route".into() };
        f.desk.finish(&begun.attempt_id, not_sent.clone()).await.unwrap();
        assert!(f.desk.finish(&begun.attempt_id, not_sent).await.unwrap().in_time, "a repeated outcome is taken alike");
    };
    let (outcome, ()) = tokio::join!(f.desk.place(f.order(1)), engine);
    assert_eq!(outcome, Outcome::NotSent("no route".into()), "believed, because the engine says so");
}

#[tokio::test(start_paused = true)]
async fn work_that_was_handed_out_and_not_begun_is_offered_to_others() {
    let f = Fixture::new();
    let engines = async {
        let lost = f.take().await;
        let again = f.take().await;
        assert_eq!(lost.work_id, again.work_id);
        let begun = f.begin(&again, "second").unwrap();
        assert_eq!(f.begin(&lost, "first"), Err(DeskError::Taken));
        f.desk.finish(&begun.attempt_id, accepted()).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(f.desk.place(f.order(1)), engines);
    assert_eq!(outcome, b_1());
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_goes_away_takes_the_work_with_it() {
    let f = Fixture::new();
    let work = tokio::select! {
        biased;
        outcome = f.desk.place(f.order(1)) => panic!("{outcome:?}"),
        work = f.take() => work,
    };
    assert_eq!(f.begin(&work, "k"), Err(DeskError::WorkOver));
    assert!(f.desk.work(SECOND).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_acceptance_reaches_the_store_late_and_after_a_restart() {
    for restarts in [false, true] {
        let mut f = Fixture::new();
        let engine = async { f.begin(&f.take().await, "k").unwrap() };
        let (outcome, begun) = tokio::join!(f.desk.place(f.order(1)), engine);
        f.record(1, 1, outcome);
        assert_eq!(f.stored().state, SignalState::InDoubt);
        if restarts {
            f.restart();
        }
        // As long as the store is away the engine is told so, and asked to say it again.
        *f.store.stuck.lock().unwrap() = true;
        let away = f.desk.finish(&begun.attempt_id, accepted()).await;
        assert_eq!(away.unwrap_err().status(), 503);
        *f.store.stuck.lock().unwrap() = false;
        let finished = f.desk.finish(&begun.attempt_id, accepted()).await.unwrap();
        assert_eq!(finished, Finished { in_time: false, state: Some(SignalState::Executed) });
        assert_eq!(f.stored().attempts[0].outcome, Some(b_1()));
        // And nothing is handed out for it any more, whatever the gate still believes.
        assert_eq!(f.desk.place(f.order(1)).await, b_1());
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_is_believed_of_the_only_send_and_only_by_who_remembers() {
    for (restarts, state) in [(false, SignalState::Failed), (true, SignalState::InDoubt)] {
        let mut f = Fixture::new();
        let engine = async { f.begin(&f.take().await, "k").unwrap() };
        let (outcome, begun) = tokio::join!(f.desk.place(f.order(1)), engine);
        f.record(1, 1, outcome);
        if restarts {
            f.restart();
        }
        f.desk.finish(&begun.attempt_id, rejected()).await.unwrap();
        assert_eq!(f.stored().state, state, "restarted: {restarts}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_of_one_send_says_nothing_of_another() {
    let f = Fixture::new();
    let engine = async { f.begin(&f.take().await, "k").unwrap() };
    let (outcome, first) = tokio::join!(f.desk.place(f.order(1)), engine);
    f.record(1, 1, outcome);
    // The broker deduplicates, so the gate places it again under the same attempt.
    let engine = async { f.begin(&f.take().await, "l").unwrap() };
    let (_, second) = tokio::join!(f.desk.place(f.order(1)), engine);
    for begun in [first, second] {
        let finished = f.desk.finish(&begun.attempt_id, rejected()).await.unwrap();
        assert_eq!(finished, Finished { in_time: false, state: None });
    }
    assert_eq!(f.stored().state, SignalState::InDoubt);
}

#[tokio::test(start_paused = true)]
async fn a_late_refusal_beside_another_open_attempt_is_not_believed() {
    let f = Fixture::new();
    // Epoch 1 died after its begin, wherever that was.
    f.lead(2);
    f.claim(2, 2, Purpose::Recover);
    let engine = async { f.begin(&f.take().await, "k").unwrap() };
    let (outcome, begun) = tokio::join!(f.desk.place(f.order(2)), engine);
    f.record(2, 2, outcome);
    f.desk.finish(&begun.attempt_id, rejected()).await.unwrap();
    assert_eq!(f.stored().state, SignalState::InDoubt, "the first attempt may yet be accepted");
}

#[tokio::test(start_paused = true)]
async fn late_not_sent_does_not_reopen_anything() {
    let f = Fixture::new();
    let engine = async { f.begin(&f.take().await, "k").unwrap() };
    let (outcome, begun) = tokio::join!(f.desk.place(f.order(1)), engine);
    f.record(1, 1, outcome);
    f.desk.finish(&begun.attempt_id, Report::NotSent { reason: String::new() }).await.unwrap();
    assert_eq!(f.stored().state, SignalState::InDoubt);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_contradicts_itself_is_told_so() {
    let f = Fixture::new();
    let engine = async {
        let begun = f.begin(&f.take().await, "k").unwrap();
        f.desk.finish(&begun.attempt_id, rejected()).await.unwrap();
        begun
    };
    let (outcome, begun) = tokio::join!(f.desk.place(f.order(1)), engine);
    f.record(1, 1, outcome);
    let not_sent = Report::NotSent { reason: String::new() };
    let refused = f.desk.finish(&begun.attempt_id, not_sent).await.unwrap_err();
    assert_eq!((refused.status(), refused.code()), (409, "outcome_contradicts"));
    // Worse news wins.
    let finished = f.desk.finish(&begun.attempt_id, accepted()).await.unwrap();
    assert_eq!(finished.state, Some(SignalState::Executed));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_out_without_a_claim_in_the_store() {
    let f = Fixture::new();
    f.lead(2);
    assert!(matches!(f.desk.place(f.order(2)).await, Outcome::NotSent(reason) if reason.contains("no claim")));
    *f.store.stuck.lock().unwrap() = true;
    assert!(matches!(f.desk.place(f.order(1)).await, Outcome::NotSent(_)));
}

#[tokio::test(start_paused = true)]
async fn look_ups_are_work_too() {
    let f = Fixture::new();
    let id = ClientOrderId::new("og-1");
    for (report, answer) in [
        (Report::Found { broker_order_id: BrokerOrderId::new("b-1") }, LookupAnswer::Found(BrokerOrderId::new("b-1"))),
        (Report::NotFound, LookupAnswer::NotFound),
        (Report::Unavailable { reason: "down".into() }, LookupAnswer::Unavailable("down".into())),
    ] {
        let engine = async {
            let work = f.take().await;
            let Task::LookUp { ref client_order_id } = work.task else { panic!("{work:?}") };
            assert_eq!(*client_order_id, id);
            assert_eq!(f.begin(&work, "k"), Err(DeskError::WorkOver), "nothing may be sent for a look-up");
            assert_eq!(f.desk.finish(&work.work_id, accepted()).await.unwrap_err().pointer(), Some("/outcome"));
            f.desk.finish(&work.work_id, report).await.unwrap();
        };
        let (answered, ()) = tokio::join!(f.desk.look_up(id.clone()), engine);
        assert_eq!(answered, answer);
    }
    assert!(matches!(f.desk.look_up(id).await, LookupAnswer::Unavailable(_)), "nobody asked");
}

#[tokio::test(start_paused = true)]
async fn engines_that_wait_are_served_one_work_each() {
    let f = Fixture::new();
    let id = ClientOrderId::new("og-1");
    let engine = |wait| {
        let desk = f.desk.clone();
        async move {
            let work = desk.work(wait).await.unwrap();
            if let Some(work) = &work {
                desk.finish(&work.work_id, Report::NotFound).await.unwrap();
            }
            work.map(|work| work.work_id)
        }
    };
    let asks = async { tokio::join!(f.desk.look_up(id.clone()), f.desk.look_up(id.clone())) };
    let (one, two, three, both) = tokio::join!(engine(SECOND), engine(SECOND), engine(SECOND), asks);
    assert_eq!(both, (LookupAnswer::NotFound, LookupAnswer::NotFound));
    assert!(one.is_some() && two.is_some() && one != two, "{one:?} {two:?}");
    assert_eq!(three, None);
}

#[tokio::test(start_paused = true)]
async fn names_of_another_life_begin_nothing() {
    let mut f = Fixture::new();
    let work = tokio::select! {
        biased;
        outcome = f.desk.place(f.order(1)) => panic!("{outcome:?}"),
        work = f.take() => work,
    };
    f.restart();
    let stranger = async {
        let ours = f.take().await;
        assert_eq!(f.begin(&work, "k"), Err(DeskError::WorkOver));
        f.begin(&ours, "k").unwrap();
    };
    let (outcome, ()) = tokio::join!(f.desk.place(f.order(1)), stranger);
    assert!(matches!(outcome, Outcome::Unknown(_)));
}

#[tokio::test(start_paused = true)]
async fn a_desk_is_attended_while_an_engine_asks_and_a_while_after() {
    let f = Fixture::new();
    assert!(!f.desk.is_attended());
    // As the daemon has it: measured, and still heard.
    let metrics = Metrics::new(f.clock.clone(), "n", "0", "oncegate");
    assert!(!Measured::new(Arc::new(f.desk.clone()), metrics).readiness(true).await, "nobody was there yet");
    let (attended, _) = tokio::join!(f.desk.readiness(false), f.desk.work(SECOND * 20));
    assert!(attended);
    let since = f.clock.now().mono;
    assert!(!f.desk.readiness(true).await);
    assert_eq!(f.clock.now().mono.since(since), SECOND * 8, "twice the time that an order may take");
}
