//! x
fn main() {
    let n = serde_json::json!({"actor": { "door": "cli", "name": "root", "uid": 0 },"duration_ms": 7,"outcome": "done","plan_hash": format!("{:064x}",5),"run": format!("{:032x}", 7)});
    let t = std::time::Instant::now();
    for _ in 0..100000 { std::hint::black_box(serde_json_canonicalizer::to_string(&n).unwrap()); }
    println!("canonicalize {:?}", t.elapsed()/100000);
    let s = n.to_string();
    let t = std::time::Instant::now();
    for _ in 0..100000 { std::hint::black_box(serde_json::from_str::<serde_json::Value>(&s).unwrap()); }
    println!("parse {:?}", t.elapsed()/100000);
    let t = std::time::Instant::now();
    for _ in 0..100000 { std::hint::black_box(n.to_string()); }
    println!("to_string {:?}", t.elapsed()/100000);
    let t = std::time::Instant::now();
    for _ in 0..100000 { std::hint::black_box(n.clone()); }
    println!("clone {:?}", t.elapsed()/100000);
    let d = tempfile::tempdir().unwrap(); 
    let l = ledger::Ledger::open(d.path().join("x")).unwrap();
    let es: Vec<_> = (0..100000).map(|i| ledger::NewEntry{operation:"container_create".into(), target: format!("web-{:03}", i%500), metadata: n.clone()}).collect();
    let t = std::time::Instant::now();
    l.append_all(&es).unwrap();
    println!("append_all {:?}", t.elapsed()/100000);
    let c = rusqlite::Connection::open(d.path().join("x")).unwrap();
    let h = "5".repeat(64);
    let t = std::time::Instant::now();
    c.execute_batch("BEGIN").unwrap();
    { let mut st = c.prepare("INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?, NULL, ?)").unwrap();
    for (i,e) in es.iter().enumerate() { st.execute(rusqlite::params![200000+i as i64, 1700000000+i as i64/1000, e.operation, e.target, h, h, s]).unwrap(); } }
    c.execute_batch("COMMIT").unwrap();
    println!("bare {:?}", t.elapsed()/100000);
}
