package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

// account writes what fix, undo and audit have to say. It remembers the first error.
type account struct {
	w   io.Writer
	err error
}

func newAccount(w io.Writer) *account {
	setColours(coloured(w))
	return &account{w: w}
}

// bad paints a word that calls for attention.
func bad(s string) string { return badges[sysprep.Fail].color.Sprint(s) }

func (a *account) printf(format string, args ...any) {
	if a.err == nil {
		_, a.err = fmt.Fprintf(a.w, format, args...)
	}
}

func (a *account) json(v any) {
	a.err = writeJSON(a.w, v)
}

// text writes a sentence after lead, broken between words.
func (a *account) text(lead, s string) {
	out := &report{}
	out.wrap(lead, app.Printable(s))
	a.printf("%s", out.String())
}

// row is a line of the table of before and after.
type row struct {
	name, before, after, state string
	notes                      []string // sentences below it
}

// table writes the rows aligned. A row that is too wide for the screen has its values below its name.
func (a *account) table(head row, rows []row) {
	l := newLayout(head, rows)
	a.printf("%s\n", l.line(head, "    "))
	for _, r := range rows {
		if l.fits(r) {
			a.printf("%s\n", l.line(r, " -> "))
		} else {
			a.printf("%s\n", strings.TrimRight(fmt.Sprintf("  %-*s  %s", l.values(), r.name, painted(r.state)), " "))
			a.printf("    %s -> %s\n", r.before, r.after)
		}
		for _, note := range r.notes {
			a.text(strings.Repeat(" ", 6), note)
		}
	}
}

// painted is a state, painted when it is written in capitals.
func painted(state string) string {
	if state != "" && state == strings.ToUpper(state) {
		return bad(state)
	}
	return state
}

// layout is the widths of the columns of a table.
type layout struct{ name, before, after, state int }

// newLayout makes room for as many rows as fit in the width of the screen, the widest left out.
func newLayout(head row, rows []row) layout {
	rows = slices.Clone(rows)
	for {
		var l layout
		for _, r := range append([]row{head}, rows...) {
			l.name, l.before = max(l.name, utf8.RuneCountInString(r.name)), max(l.before, utf8.RuneCountInString(r.before))
			l.after, l.state = max(l.after, utf8.RuneCountInString(r.after)), max(l.state, len(r.state))
		}
		if len(rows) == 0 || l.values()+4+l.state <= width {
			return l
		}
		widest := 0
		for i, r := range rows {
			if len(r.before)+len(r.after) > len(rows[widest].before)+len(rows[widest].after) {
				widest = i
			}
		}
		rows = slices.Delete(rows, widest, widest+1)
	}
}

// values is the width up to where the state begins, without what is around it.
func (l layout) values() int { return l.name + 2 + l.before + 4 + l.after }

func (l layout) fits(r row) bool {
	return utf8.RuneCountInString(r.name) <= l.name && utf8.RuneCountInString(r.before) <= l.before && utf8.RuneCountInString(r.after) <= l.after
}

func (l layout) line(r row, arrow string) string {
	line := fmt.Sprintf("  %-*s  %*s%s%-*s  ", l.name, r.name, l.before, r.before, arrow, l.after, r.after)
	return strings.TrimRight(line+painted(r.state), " ")
}

// plan writes what is to be done, and what cannot be.
func (a *account) plan(p sysprep.Plan) {
	a.heading(p)
	var todo []row
	for _, s := range p.Steps {
		if s.State != sysprep.StepBlocked {
			todo = append(todo, stepRow(s, p.Unit))
		}
	}
	switch {
	case len(p.Steps) == 0:
		a.printf("\nNothing to do.\n")
	case len(todo) == 0:
		a.printf("\nNothing to do from here.\n")
	default:
		a.printf("\nTo be raised\n")
		a.table(row{name: "setting", before: "now", after: "then"}, todo)
	}
	a.others(p)
}

func (a *account) heading(p sysprep.Plan) {
	a.text("", fmt.Sprintf("%s connections, role %s", count(p.N), p.Role))
}

// others writes what cannot be raised from here, and what is left to people.
func (a *account) others(p sysprep.Plan) {
	var blocked []row
	for _, s := range p.Steps {
		if s.State == sysprep.StepBlocked {
			blocked = append(blocked, stepRow(s, p.Unit))
		}
	}
	if len(blocked) > 0 {
		a.printf("\nNot from here\n")
		a.table(row{name: "setting", before: "now", after: "wanted"}, blocked)
	}
	a.left(p)
}

// left writes the findings that only people can put right.
func (a *account) left(p sysprep.Plan) {
	if len(p.Left) == 0 {
		return
	}
	a.printf("\nLeft to you\n")
	for _, f := range p.Left {
		a.text(fmt.Sprintf("  %-4s  ", f.Outcome), f.ID+": "+grouped(f.Why))
		for line := range strings.SplitSeq(f.FixForGood, "\n") {
			if line != "" {
				a.printf("        %s\n", app.Printable(line))
			}
		}
	}
}

// applied writes what became of the steps; with all, also what the plan would have said.
func (a *account) applied(p sysprep.Plan, all bool) {
	if all {
		a.heading(p)
	}
	var rows []row
	restart, whom := false, "pushd" // which may run without a unit
	for _, s := range p.Steps {
		if s.State == sysprep.StepBlocked {
			continue // the plan said so
		}
		r := stepRow(s, p.Unit)
		r.after = shown(s.After)
		r.state = map[sysprep.StepState]string{sysprep.StepDone: "set", sysprep.StepRefused: "NOT SET", sysprep.StepOpen: "not tried"}[s.State]
		if s.Kind == sysprep.RemedySystemd && s.State == sysprep.StepDone {
			r.state, whom = "at restart", app.Printable(p.Unit)
		}
		if s.State == sysprep.StepOpen { // the error says why
			r.after, r.notes = r.before, nil
		}
		restart = restart || s.Restart && s.State == sysprep.StepDone
		rows = append(rows, r)
	}
	title := "Raised"
	if p.Count(sysprep.StepDone) == 0 {
		title = "Not raised"
	}
	a.printf("\n%s\n", title)
	a.table(row{name: "setting", before: "before", after: "after"}, rows)
	changed := len(p.Files) > 0 || p.Count(sysprep.StepDone) > 0
	if changed {
		a.printf("\n")
	}
	for i, f := range p.Files {
		a.printf("%-10s%s\n", map[bool]string{true: "written"}[i == 0], f)
	}
	if changed {
		a.printf("%-10s%s\n", "kept", p.Record+", for sysprep undo")
	}
	if restart {
		a.printf("%-10s%s\n", "restart", whom+", which takes up some of it only at its start")
	}
	if all && p.Count(sysprep.StepOpen) == 0 {
		a.others(p)
	}
}

func stepRow(s sysprep.Step, unit string) row {
	r := row{name: s.Key, before: shown(s.Before), after: shown(s.Value)}
	if s.Kind == sysprep.RemedySystemd {
		r.name = s.Key + " of " + app.Printable(unit)
	}
	for _, note := range []string{s.Reason, s.Note} {
		if note != "" {
			r.notes = append(r.notes, note)
		}
	}
	return r
}

// shown is a value for a reader.
func shown(s string) string {
	if s == "" {
		return "?"
	}
	return grouped(app.Printable(s))
}
