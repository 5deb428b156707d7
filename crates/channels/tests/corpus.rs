//! Every file of the fuzz corpus through the functions that fuzzing runs.

use std::path::Path;

use payops_channels::fuzzing;

type Target = fn(&[u8]);

#[test]
fn the_corpus_breaks_no_promise() {
    let targets: [(&str, Target); 5] = [
        ("stripe_itemized", fuzzing::stripe_itemized),
        ("mapping", fuzzing::mapping),
        ("platform_feed", fuzzing::platform_feed),
        ("spool", fuzzing::spool),
        ("bank_statements", fuzzing::bank_statements),
    ];
    for (name, target) in targets {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
        let mut files = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            target(&std::fs::read(&path).unwrap());
            files += 1;
        }
        assert!(files >= 5, "{} holds only {files} files", folder.display());
    }
}
