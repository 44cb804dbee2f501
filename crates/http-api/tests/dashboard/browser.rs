//! A headless Chromium, driven over WebDriver (<https://www.w3.org/TR/webdriver2/>): as much of it as the tests need,
//! on a plain socket.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

/// How WebDriver marks an element in JSON.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// A command that is not answered for this long never will be.
const COMMAND: Duration = Duration::from_secs(60);

/// Keys as WebDriver writes them.
pub(crate) const TAB: &str = "\u{E004}";
pub(crate) const ESCAPE: &str = "\u{E00C}";
pub(crate) const ENTER: &str = "\u{E007}";

/// A browser with one tab. Dropping it ends both processes.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts chromedriver on a port of its own choosing, and Chromium with a profile of its own.
    pub(crate) fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is installed (cargo xtask test does it)");
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines
            .find_map(|line| line.unwrap().split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok())
            .expect("chromedriver says its port");
        // Whatever it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let mut browser = Self { driver, port, session: String::new(), _profile: profile };
        let arguments = json!([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            format!("--user-data-dir={}", browser._profile.path().display()),
        ]);
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 45_000 },
            "unhandledPromptBehavior": "ignore",
        }}});
        let session = browser.command("POST", "/session", &wanted);
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Loads a page.
    pub(crate) fn open(&self, url: &str) {
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// The size of the window's inside, in CSS pixels.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics);
    }

    /// `light` or `dark`.
    pub(crate) fn colours(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.devtools("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// What a function body returns in the page.
    pub(crate) fn script(&self, body: &str) -> Value {
        self.ask("POST", "/execute/sync", &json!({ "script": body, "args": [] }))
    }

    /// Waits in the page until the expression is true, looking every 10 ms; says how long the page took.
    pub(crate) fn wait_until(&self, expression: &str, within: Duration) -> Duration {
        let body = format!(
            "const done = arguments[0], began = performance.now();
             (function look() {{
                 const passed = performance.now() - began;
                 let holds = false;
                 try {{ holds = Boolean({expression}); }} catch {{ holds = false; }}
                 if (holds) done(passed);
                 else if (passed > {}) done(-1);
                 else setTimeout(look, 10);
             }})();",
            within.as_millis()
        );
        let passed = self.ask("POST", "/execute/async", &json!({ "script": body, "args": [] })).as_f64().unwrap();
        assert!(passed >= 0.0, "not within {within:?}: {expression}; the page says:\n{}", self.text("body"));
        Duration::from_secs_f64(passed / 1000.0)
    }

    /// The text of an element as a person sees it.
    pub(crate) fn text(&self, css: &str) -> String {
        let path = format!("/element/{}/text", self.find(css));
        self.ask("GET", &path, &Value::Null).as_str().unwrap().to_owned()
    }

    /// Clicks as a person does: an element that is hidden or covered fails the test.
    pub(crate) fn click(&self, css: &str) {
        let path = format!("/element/{}/click", self.find(css));
        self.ask("POST", &path, &json!({}));
    }

    /// Types into an element.
    pub(crate) fn write(&self, css: &str, text: &str) {
        let path = format!("/element/{}/value", self.find(css));
        self.ask("POST", &path, &json!({ "text": text }));
    }

    /// Presses and lets go of one key, wherever the focus is.
    pub(crate) fn press(&self, key: &str) {
        let strokes = json!([{ "type": "keyDown", "value": key }, { "type": "keyUp", "value": key }]);
        self.ask("POST", "/actions", &json!({ "actions": [{ "type": "key", "id": "keys", "actions": strokes }] }));
    }

    /// The whole page as `target/dashboard/{name}.png`, kept for people.
    pub(crate) fn picture(&self, name: &str) -> PathBuf {
        let wanted = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.devtools("Page.captureScreenshot", wanted);
        let bytes = BASE64.decode(shot["data"].as_str().unwrap().as_bytes()).unwrap();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("dashboard");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, bytes).unwrap();
        file
    }

    /// What the page wrote to its console since the last time, or the browser about it.
    pub(crate) fn console(&self) -> Vec<String> {
        let entries = self.ask("POST", "/se/log", &json!({ "type": "browser" }));
        entries.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    fn find(&self, css: &str) -> String {
        let found = self.ask("POST", "/element", &json!({ "using": "css selector", "value": css }));
        found[ELEMENT].as_str().unwrap().to_owned()
    }

    fn devtools(&self, command: &str, params: Value) -> Value {
        self.ask("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params }))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.command(method, &format!("/session/{}{path}", self.session), body)
    }

    fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_command(method, path, body).unwrap();
        let value = answer["value"].clone();
        assert!(value.get("error").is_none(), "{method} {path} {body}: {value:#}");
        value
    }

    fn try_command(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(COMMAND))?;
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")?;
        write!(stream, "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; then the driver itself. A test that has failed must not fail again here.
        let _ = self.try_command("DELETE", &format!("/session/{}", self.session), &Value::Null);
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
