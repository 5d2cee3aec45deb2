// Package browser gives tests a headless Chromium. Each Browser is a process of its own that ends with its test; each Visit
// is a tab with cookies and storage of its own. A page that throws, breaks its content policy or logs an error fails
// the test, unless the test says that it expects that. Where there is no Chromium a test fails: it is never skipped.
package browser
