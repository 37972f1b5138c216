package tui

import tea "charm.land/bubbletea/v2"

// fetcher is what views that ask for lists have in common: one question at a time, and answers to older questions are
// thrown away.
type fetcher struct {
	busy  bool
	round int    // of the latest question
	asked bool   // an answer has come
	err   string // why there is none; "" when there is one
}

// begin notes a question and returns its number.
func (f *fetcher) begin() int {
	f.busy = true
	f.round++
	return f.round
}

// end reports whether the answer to question round is still wanted.
func (f *fetcher) end(round int) bool {
	if round != f.round || !f.busy {
		return false
	}
	f.busy, f.asked = false, true
	return true
}

// drop makes the answer to a question that is under way unwanted.
func (f *fetcher) drop() {
	f.busy = false
	f.round++
}

// unlessNil takes back the question when there was nobody to ask.
func (f *fetcher) unlessNil(cmd tea.Cmd) tea.Cmd {
	if cmd == nil {
		f.busy = false
	}
	return cmd
}

// trouble is the line instead of a list that could not be had. A list of rows that was had before is shown on.
func (f *fetcher) trouble(m *model, rows int) (line, bool) {
	switch {
	case f.err != "" && rows == 0:
		return f.refusal(m), true
	case !f.asked && m.lost():
		return line{}.add(dim, " pushd does not answer."), true
	case !f.asked && m.paused:
		return line{}.add(dim, " Paused: pushd is not asked (space goes on)."), true
	case !f.asked:
		return line{}.add(dim, " Asking pushd"+m.g.more), true
	}
	return nil, false
}

// refusal says why there is no answer.
func (f *fetcher) refusal(m *model) line {
	return line{}.add(plain, " ").add(bad, "pushd did not say: "+m.g.clean(f.err))
}

// headed puts head above rows, or why there is nothing newer than these rows.
func (f *fetcher) headed(m *model, head line, rows []line) []line {
	if f.err == "" {
		return m.staleAll(append([]line{head}, rows...))
	}
	for i := range rows {
		rows[i] = rows[i].as(stale)
	}
	return append([]line{f.refusal(m).add(dim, "; these are older")}, rows...)
}

// refused reports whether nobody answered, and keeps the reason.
func refused[T any](f *fetcher, parts []part[T]) bool {
	f.err = ""
	failed := 0
	for _, p := range parts {
		if p.err != nil {
			f.err = lossReason(p.err)
			failed++
		}
	}
	return failed == len(parts)
}
