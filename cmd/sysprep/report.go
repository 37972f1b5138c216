package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/sysprep"
)

// Layout of the report.
const (
	width       = 80
	bodyColumn  = 10 // where a check's id and the text below it begin
	labelColumn = 20 // where the remedies begin, after their labels
)

var groupTitles = map[string]string{
	sysprep.GroupMemory:  "Memory",
	sysprep.GroupFiles:   "Open files",
	sysprep.GroupEpoll:   "Epoll",
	sysprep.GroupNetwork: "Network",
}

var badges = map[sysprep.Outcome]struct {
	text  string
	color *color.Color
}{
	sysprep.OK:   {"[ ok ]", color.New(color.FgGreen)},
	sysprep.Warn: {"[warn]", color.New(color.FgYellow)},
	sysprep.Fail: {"[FAIL]", color.New(color.FgRed, color.Bold)},
	sysprep.Skip: {"[skip]", color.New(color.FgCyan)},
}

// report is the human form of a Report in the making.
type report struct {
	bytes.Buffer
	idWidth      int // of the widest id
	currentWidth int // of the widest current value
}

// writeReport writes r for a reader, in groups: a line for each check, and below those that are not ok what to do.
func writeReport(w io.Writer, r sysprep.Report, colored bool) error {
	for _, b := range badges {
		if colored {
			b.color.EnableColor()
		} else {
			b.color.DisableColor()
		}
	}
	out := &report{}
	for _, f := range r.Checks {
		out.idWidth = max(out.idWidth, len(f.ID))
		out.currentWidth = max(out.currentWidth, len(value(f.Current, f.Unit)))
	}
	kernel := "unknown kernel"
	if r.Kernel != "" {
		kernel = "Linux " + app.Printable(r.Kernel)
	}
	out.wrapped(0, fmt.Sprintf("%s connections, role %s, %s", grouped(strconv.FormatInt(r.N, 10)), r.Role, kernel))
	group := ""
	for _, f := range r.Checks {
		if f.Group != group {
			group = f.Group
			fmt.Fprintf(out, "\n%s\n", groupTitles[group])
		}
		out.finding(f)
	}
	out.verdict(r)
	_, err := out.WriteTo(w)
	return err
}

func (out *report) finding(f sysprep.Finding) {
	b := badges[f.Outcome]
	relation := "->"
	if f.Outcome == sysprep.OK {
		relation = ">="
	}
	values := fmt.Sprintf("%*s %s %s", out.currentWidth, value(f.Current, f.Unit), relation, value(f.Wanted, f.Unit))
	if f.Outcome == sysprep.Skip {
		values = "not checked"
	}
	head := fmt.Sprintf("%-*s  ", out.idWidth, f.ID)
	if bodyColumn+len(head)+len(values) > width {
		head = f.ID + "\n" + strings.Repeat(" ", bodyColumn)
		values = strings.TrimLeft(values, " ")
	}
	fmt.Fprintf(out, "  %s  %s%s\n", b.color.Sprint(b.text), head, values)
	if f.Outcome == sysprep.OK {
		return
	}
	out.wrapped(bodyColumn, grouped(app.Printable(f.Why)))
	if f.Formula != "" {
		out.labelled("wanted", grouped(f.Formula))
	}
	out.remedy("now", f.FixNow)
	out.remedy("for good", f.FixForGood)
}

// remedy writes lines that are meant to be pasted, so they are never broken; only a long path makes one wider than the
// report.
func (out *report) remedy(label, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintf(out, "%*s%-*s%s\n", bodyColumn, "", labelColumn-bodyColumn, label, app.Printable(line))
		label = ""
	}
}

// verdict writes whether the host is ready, the counts and, in the last line, the capacity.
func (out *report) verdict(r sysprep.Report) {
	skipped := r.Count(sysprep.Skip)
	ready, proviso := "Ready", ""
	switch {
	case r.Count(sysprep.Fail) > 0:
		ready = "Not ready"
	case r.Capacity != nil && *r.Capacity < r.N:
		proviso = " once the warnings are heeded"
	case skipped > 0:
		proviso = " as far as could be checked"
	}
	var counts []string
	for _, c := range []struct {
		outcome sysprep.Outcome
		word    string
	}{{sysprep.Fail, "failed"}, {sysprep.Warn, "warned"}, {sysprep.Skip, "skipped"}, {sysprep.OK, "ok"}} {
		if n := r.Count(c.outcome); n > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", n, c.word))
		}
	}
	out.WriteString("\n")
	out.wrapped(0, fmt.Sprintf("%s for %s connections%s: %s",
		ready, grouped(strconv.FormatInt(r.N, 10)), proviso, strings.Join(counts, ", ")))
	if skipped > 0 && r.Capacity != nil {
		out.WriteString("The capacity leaves out what was skipped.\n")
	}
	switch {
	case r.Capacity != nil:
		fmt.Fprintf(out, "Capacity: %s connections, limited first by %s\n",
			grouped(strconv.FormatInt(*r.Capacity, 10)), *r.FirstLimit)
	case skipped > 0:
		out.WriteString("Capacity: unknown\n")
	default:
		fmt.Fprintf(out, "Capacity: more than %s connections\n", grouped(strconv.Itoa(sysprep.MaxN)))
	}
}

// wrapped writes text from a column on, broken between words.
func (out *report) wrapped(column int, text string) {
	out.wrap(strings.Repeat(" ", column), text)
}

// labelled writes text at the column of the remedies, broken between words, after a label.
func (out *report) labelled(label, text string) {
	out.wrap(fmt.Sprintf("%*s%-*s", bodyColumn, "", labelColumn-bodyColumn, label), text)
}

// wrap writes text after lead, broken between words; further lines begin below its end.
func (out *report) wrap(lead, text string) {
	column := len(lead)
	line, used := lead, column
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if used > column && used+1+n > width {
			out.WriteString(line + "\n")
			line, used = strings.Repeat(" ", column), column
		}
		if used > column {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	out.WriteString(line + "\n")
}

// value writes a finding's value for a reader.
func value(s, unit string) string {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && unit == sysprep.UnitBytes {
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	}
	return grouped(s)
}

// longNumber is a number of more than three digits that is no part of a word, a path or a fraction.
var longNumber = regexp.MustCompile(`(^|[ (*/=+])([0-9]{4,})\b`)

// grouped parts the thousands of the numbers in s with commas.
func grouped(s string) string {
	return longNumber.ReplaceAllStringFunc(s, func(m string) string {
		digits := strings.TrimLeft(m, " (*/=+")
		lead := m[:len(m)-len(digits)]
		for i := len(digits) - 3; i > 0; i -= 3 {
			digits = digits[:i] + "," + digits[i:]
		}
		return lead + digits
	})
}
