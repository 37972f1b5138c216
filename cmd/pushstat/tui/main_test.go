package tui

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"go.uber.org/goleak"
)

// helperEnv makes the test binary show the screens in place of running tests: "run" as pushstat does, "fault" with a view
// that panics when it is drawn, "fetch-fault" with one whose question panics. Tests under tmux start it.
const helperEnv = "TUI_TEST_HELPER"

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) {
	if kind := os.Getenv(helperEnv); kind != "" {
		os.Exit(helper(kind))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if builtIn != "" {
			os.RemoveAll(builtIn) //nolint:errcheck // of the system's directory for such files
		}
		os.Exit(code)
	}))
}

// helper shows the screens of the sockets in $SOCKETS.
func helper(kind string) int {
	o := Options{Sockets: filepath.SplitList(os.Getenv("SOCKETS")), Interval: 100 * time.Millisecond, Timeout: 2 * time.Second}
	if err := Usable(os.Stdin, os.Stdout, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	o.setDefaults()
	m := newModel(context.Background(), o, dialPushd)
	switch kind {
	case "fault":
		m.views[1] = faultyView{}
	case "fetch-fault":
		m.views[1] = faultyQuestion{}
	}
	if err := m.run(o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// faultyView panics when it is drawn.
type faultyView struct{ overview }

func (faultyView) body(*model, int, int) []line { panic("a fault in a view") }

// faultyQuestion panics on a goroutine beside the program's.
type faultyQuestion struct{ overview }

func (faultyQuestion) show(m *model) tea.Cmd {
	return askAll(m, m.nodes, func(context.Context, pushd) (int, error) { panic("a fault in a question") }, nil)
}
