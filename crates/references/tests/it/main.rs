//! scratch
fn main() {
    let dir = std::env::args().nth(1).unwrap();
    references::refs(std::path::Path::new(&dir), |f| {
        println!(
            "{} {} passed {} failed {} {:?} {:?} blind {:?}",
            f.name, f.cases, f.passed, f.failed, f.worst, f.skipped, f.blind
        );
        for x in f.failures.iter().take(40) {
            println!("   {}: {}", x.case, x.reason);
        }
    })
    .unwrap();
}
