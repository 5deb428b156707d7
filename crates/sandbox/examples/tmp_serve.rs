//! temporary
use payops_sandbox::*;
#[tokio::main]
async fn main() {
    let config = SandboxConfig::on(([127, 0, 0, 1], 40991).into()).await.expect("bind");
    let s = Sandbox::start(config).expect("start");
    println!("{}", s.base_url());
    tokio::time::sleep(std::time::Duration::from_secs(120)).await;
}
