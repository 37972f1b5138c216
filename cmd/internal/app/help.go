package app

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"
)

// Layout of the help text.
const (
	minHelpWidth = 80
	maxHelpWidth = 120 // longer lines are hard to read
	helpColumn   = 30  // where the explanation of an option begins
)

// helpWidth is the width of the terminal that w is, within bounds, and the least one where w is no
// terminal.
func helpWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return minHelpWidth
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return minHelpWidth
	}
	return min(max(width, minHelpWidth), maxHelpWidth)
}

// writeHelp prints the help of the application, or of its command c when that is not nil, to a.Writer.
func writeHelp(a *cli.App, c *cli.Command) error {
	h := &help{width: helpWidth(a.Writer)}
	if c == nil {
		h.head(a.Name, a.Usage, a.UsageText, a.Description)
		commands := a.Commands
		if hasHelpCommands(a) {
			commands = append(commands[:len(commands):len(commands)],
				&cli.Command{Name: "help", Usage: "print this help, or that of a command"},
				&cli.Command{Name: "version", Usage: "print the version"})
		}
		h.commands(commands)
		h.options(a.Flags)
	} else {
		h.head(a.Name+" "+c.Name, c.Usage, c.UsageText, c.Description)
		h.commands(c.Subcommands)
		h.options(append(c.Flags[:len(c.Flags):len(c.Flags)], helpFlags(a, c)...))
	}
	_, err := a.Writer.Write([]byte(h.String()))
	return err
}

// help is a help text in the making.
type help struct {
	strings.Builder
	width int
}

func (h *help) head(name, usage, usageText, description string) {
	h.broken(name+" - "+usage, 0)
	h.WriteByte('\n')
	if usageText == "" {
		usageText = name + " [options]"
	}
	for i, line := range strings.Split(strings.TrimSpace(usageText), "\n") {
		label := "Usage:"
		if i > 0 {
			label = "      "
		}
		h.broken(label+" "+strings.TrimSpace(line), len("Usage: ")+len(name)+1)
	}
	if d := strings.TrimSpace(description); d != "" {
		h.WriteByte('\n')
		h.prose(d)
	}
}

// prose writes paragraphs, each broken anew. Lines that begin with a space stand as they are.
func (h *help) prose(text string) {
	var words []string
	flush := func() {
		if len(words) > 0 {
			h.words("", words, 0)
			words = nil
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \n")
		if line == "" || line[0] == ' ' {
			flush()
			h.WriteString(line + "\n")
			continue
		}
		words = append(words, strings.Fields(line)...)
	}
	flush()
}

func (h *help) commands(cmds []*cli.Command) {
	if len(cmds) == 0 {
		return
	}
	h.WriteString("\nCommands:\n")
	for _, c := range cmds {
		if !c.Hidden {
			h.row(c.Name, c.Usage)
		}
	}
}

// options lists the flags under their categories, in the order in which they were declared.
func (h *help) options(flags []cli.Flag) {
	var categories []string
	rows := make(map[string][]cli.DocGenerationFlag)
	for _, f := range flags {
		d, ok := f.(cli.DocGenerationFlag)
		if v, can := f.(cli.VisibleFlag); !ok || can && !v.IsVisible() {
			continue
		}
		category := "Options"
		if c, ok := f.(cli.CategorizableFlag); ok && c.GetCategory() != "" {
			category = c.GetCategory()
		}
		if rows[category] == nil {
			categories = append(categories, category)
		}
		rows[category] = append(rows[category], d)
	}
	for _, category := range categories {
		fmt.Fprintf(h, "\n%s:\n", category)
		for _, d := range rows[category] {
			h.option(d)
		}
	}
}

func (h *help) option(d cli.DocGenerationFlag) {
	placeholder, text := unquoteUsage(d.GetUsage())
	var short, long []string
	for _, n := range d.Names() {
		if len(n) == 1 {
			short = append(short, dashed(n))
		} else {
			long = append(long, dashed(n))
		}
	}
	term := strings.Join(append(short, long...), ", ")
	if len(short) == 0 {
		term = "    " + term
	}
	if d.TakesValue() {
		term += " " + placeholder
	}
	var notes []string
	if def := defaultText(d); def != "" {
		notes = append(notes, "default "+def)
	}
	for _, e := range d.GetEnvVars() {
		notes = append(notes, "$"+e)
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	h.row(term, text)
}

// defaultText is the default as help shows it: the text that the flag declares, else its value unless that is zero.
func defaultText(d cli.DocGenerationFlag) string {
	if !d.TakesValue() {
		return ""
	}
	text := strings.Trim(d.GetDefaultText(), `"`)
	switch text {
	case "0", "0s", "[]", "false":
		return ""
	}
	return text
}

// unquoteUsage takes the name of an option's value out of the back quotes of its usage text.
func unquoteUsage(usage string) (placeholder, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "VALUE", usage
	}
	name, after, ok := strings.Cut(rest, "`")
	if !ok {
		return "VALUE", usage
	}
	return name, before + name + after
}

// row writes a term and its explanation beside it, broken at the width.
func (h *help) row(term, text string) {
	line := "  " + term
	if len(line) > helpColumn-2 {
		h.WriteString(line + "\n")
		line = ""
	}
	line += strings.Repeat(" ", helpColumn-len(line))
	h.words(line, strings.Fields(text), helpColumn)
}

// broken writes a line, and what does not fit into lines below it, indented.
func (h *help) broken(line string, indent int) {
	text := strings.TrimLeft(line, " ")
	h.words(line[:len(line)-len(text)], strings.Fields(text), indent)
}

// words writes words behind the beginning of a line, broken at the width.
func (h *help) words(line string, words []string, indent int) {
	empty := true
	for _, word := range words {
		if !empty && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > h.width {
			h.WriteString(line + "\n")
			line, empty = strings.Repeat(" ", indent), true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	h.WriteString(strings.TrimRight(line, " ") + "\n")
}
