//! stub
fn main() {
    use oncegate_sim::runner::*;
    use oncegate_sim::scenario::*;
    let n: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(1);
    let began = std::time::Instant::now();
    for seed in 0..n {
        let scenario = Scenario { name: "idle".into(), seed, world: WorldSpec::default(), signals: (0..5).map(|i| SignalSpec { id: format!("S{i}"), at: Span::secs(60 + 60 * i), to: vec!["n1".into(), "n2".into()], good_for: None }).collect(), faults: vec![], expect: Expect::default() };
        let run = run(&scenario, Options { keep_story: n == 1, mutant: None });
        if n == 1 { for line in &run.story { println!("{:9.3} {:7} {:?}", line.at.as_secs_f64(), run.hosts[line.host], line.what); } println!("{:#?}", run.violations); println!("{:?}", run.signals); }
        assert!(run.holds());
        if seed < 2 { println!("{}", run.hash); }
    }
    let took = began.elapsed();
    println!("{n} runs in {took:?}: {:.1} runs/s", n as f64 / took.as_secs_f64());
}
