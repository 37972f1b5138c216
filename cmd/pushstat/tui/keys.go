package tui

import (
	"strconv"
	"strings"
	"unicode"

	tea "charm.land/bubbletea/v2"
)

// handleKey acts on one key. text is what it types, "" when it types nothing.
func (m *model) handleKey(key, text string) tea.Cmd {
	switch {
	case key == "ctrl+c":
		return tea.Quit
	case key == "ctrl+z":
		return suspend
	case m.tooSmall():
		if key == "q" {
			return tea.Quit
		}
		return nil
	case m.ask != nil:
		return m.answerQuestion(key)
	case m.input != nil:
		return m.typed(key, text)
	case m.help:
		m.help = false
		if key == "q" {
			return tea.Quit
		}
		if key == "?" || key == "esc" || key == "enter" || key == "space" {
			return nil
		}
	}
	if cmd, known := m.commonKey(key); known {
		return cmd
	}
	cmd, _ := m.view().key(m, key)
	return cmd
}

// commonKey acts on the keys that do the same in every view.
func (m *model) commonKey(key string) (tea.Cmd, bool) {
	if n, err := strconv.Atoi(key); err == nil && n >= 1 && n <= len(m.views) {
		return m.switchTo(n - 1), true
	}
	switch key {
	case "q":
		return tea.Quit, true
	case "?", "h", "f1":
		m.help = true
	case "tab", "right":
		return m.switchTo((m.at + 1) % len(m.views)), true
	case "shift+tab", "left":
		return m.switchTo((m.at + len(m.views) - 1) % len(m.views)), true
	case "space":
		return m.togglePause(), true
	case "+", "=":
		return m.stepInterval(-1), true
	case "-", "_":
		return m.stepInterval(1), true
	case "r":
		m.resetTotals()
	case "R":
		m.reset = nil
		m.say(plain, "Totals count from the start of pushd")
	case "]", "n":
		return m.switchScope(1), true
	case "[", "N":
		return m.switchScope(-1), true
	case "0":
		if m.scope >= 0 && len(m.nodes) > 1 {
			return m.switchScope(-1 - m.scope), true
		}
	default:
		return nil, false
	}
	return nil, true
}

func (m *model) togglePause() tea.Cmd {
	m.paused = !m.paused
	if m.paused {
		m.pausedAt = m.now
		m.view().hide(m)
		return nil
	}
	return tea.Batch(m.poll(), m.view().show(m))
}

// stepInterval goes to the next longer (1) or shorter (-1) interval.
func (m *model) stepInterval(step int) tea.Cmd {
	next := m.interval
	if step > 0 {
		for i := len(intervals) - 1; i >= 0 && intervals[i] > m.interval; i-- {
			next = intervals[i]
		}
	} else {
		for i := 0; i < len(intervals) && intervals[i] < m.interval; i++ {
			next = intervals[i]
		}
	}
	return m.setInterval(next)
}

func (m *model) answerQuestion(key string) tea.Cmd {
	q := m.ask
	switch key {
	case "y", "Y":
		m.ask = nil
		return q.yes()
	case "n", "N", "esc", "q", "enter":
		m.ask = nil
		m.say(plain, "Nothing was done")
	}
	return nil
}

// input is a line that the user types.
type input struct {
	label string
	text  string
	err   string
	done  func(text string) (tea.Cmd, error)
}

// maxInput bounds what can be typed or pasted into a line.
const maxInput = 256

func (m *model) typed(key, text string) tea.Cmd {
	in := m.input
	switch key {
	case "esc":
		m.input = nil
	case "enter":
		cmd, err := in.done(strings.TrimSpace(in.text))
		if err != nil {
			in.err = err.Error()
			return nil
		}
		m.input = nil
		return cmd
	case "backspace", "ctrl+h":
		if r := []rune(in.text); len(r) > 0 {
			in.text = string(r[:len(r)-1])
		}
		in.err = ""
	case "ctrl+u":
		in.text, in.err = "", ""
	case "ctrl+w":
		cut := strings.TrimRight(in.text, " ")
		in.text, in.err = cut[:strings.LastIndexByte(cut, ' ')+1], ""
	default:
		m.paste(text)
	}
	return nil
}

// paste adds text to the line that is being typed.
func (m *model) paste(text string) {
	if m.input == nil {
		return
	}
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text)
	if len(m.input.text)+len(text) <= maxInput {
		m.input.text += text
		m.input.err = ""
	}
}
