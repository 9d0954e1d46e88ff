// Package tap prints the Test Anything Protocol. It has what the validation suite uses of
// github.com/mndrix/tap-go, which Debian does not package.
package tap

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// T counts the tests of one executable and prints their results.
type T struct {
	Writer io.Writer

	todo   bool
	shared *shared
}

type shared struct {
	mutex sync.Mutex
	count int
}

// New returns a T that prints to standard output.
func New() *T { return &T{shared: &shared{}} }

// Todo returns a T whose failures do not count: what they test is yet to be done.
func (t *T) Todo() *T { return &T{Writer: t.Writer, todo: true, shared: t.shared} }

func (t *T) printf(format string, args ...interface{}) {
	writer := t.Writer
	if writer == nil {
		writer = os.Stdout
	}
	fmt.Fprintf(writer, format, args...)
}

// Header prints the version of the protocol, and the plan if the number of tests is known.
func (t *T) Header(tests int) {
	t.printf("TAP version 13\n")
	if tests > 0 {
		t.printf("1..%d\n", tests)
	}
}

func (t *T) result(verdict, description string) {
	t.shared.mutex.Lock()
	defer t.shared.mutex.Unlock()
	t.shared.count++
	if t.todo {
		description = "# TODO " + description
	}
	t.printf("%s %d - %s\n", verdict, t.shared.count, strings.ReplaceAll(description, "\n", " "))
}

// Ok prints the result of a test.
func (t *T) Ok(passed bool, description string) {
	if passed {
		t.result("ok", description)
	} else {
		t.result("not ok", description)
	}
}

// Pass prints a test that passed.
func (t *T) Pass(description string) { t.Ok(true, description) }

// Fail prints a test that failed.
func (t *T) Fail(description string) { t.Ok(false, description) }

// Skip prints tests that were not run.
func (t *T) Skip(count int, description string) {
	for i := 0; i < count; i++ {
		t.result("ok", "# SKIP "+description)
	}
}

// AutoPlan prints the plan after the tests.
func (t *T) AutoPlan() { t.printf("1..%d\n", t.shared.count) }

// Diagnostic prints a comment.
func (t *T) Diagnostic(message string) {
	t.printf("# %s\n", strings.ReplaceAll(message, "\n", "\n# "))
}

// Diagnosticf prints a comment.
func (t *T) Diagnosticf(format string, args ...interface{}) {
	t.Diagnostic(fmt.Sprintf(format, args...))
}

// YAML prints a block that belongs to the result before it (as JSON, which YAML includes).
func (t *T) YAML(message interface{}) error {
	text, err := json.MarshalIndent(message, "  ", "  ")
	if err != nil {
		return err
	}
	t.printf("  ---\n  %s\n  ...\n", text)
	return nil
}
