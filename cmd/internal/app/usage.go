package app

import (
	"flag"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// What urfave/cli and package flag say about a value they cannot read.
var (
	badFlag = regexp.MustCompile(`(?s)^invalid (?:boolean )?value (".*") for (?:flag )?-([^ :]+): (.*)$`)
	badEnv  = regexp.MustCompile(`(?s)^could not parse (".*") (?:as (\w+)(?: slice)? value )?from environment variable "([^"]*)" (?:as value )?for flag [^ :]+: (.*)$`)
)

// wanted names the kinds of value that do not explain themselves, by the name urfave/cli has for them.
var wanted = map[string]string{
	"bool":     "true or false",
	"int":      "a whole number",
	"int64":    "a whole number",
	"uint":     "a whole number of 0 or more",
	"uint64":   "a whole number of 0 or more",
	"float64":  "a number",
	"duration": "a duration such as 500ms, 10s or 1m",
}

// usageError turns the error of urfave/cli about an option's value into one line in our words.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	if m := badFlag.FindStringSubmatch(text); m != nil {
		return Usagef("%s: %s", dashed(m[2]), badValue(kind(c, m[2]), m[1], m[3]))
	}
	if m := badEnv.FindStringSubmatch(text); m != nil {
		return Usagef("$%s: %s", m[3], badValue(m[2], m[1], m[4]))
	}
	return Usagef("%s", text)
}

func badValue(kind, quoted, reason string) string {
	if w := wanted[kind]; w != "" {
		return quoted + " is not " + w
	}
	return reason
}

// kind is the kind of value that the option called name takes, "" for one with a type of its own.
func kind(c *cli.Context, name string) string {
	for _, f := range c.Command.Flags {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		set := flag.NewFlagSet("", flag.ContinueOnError)
		if f.Apply(set) != nil {
			return ""
		}
		if g, ok := set.Lookup(name).Value.(flag.Getter); ok {
			return strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", g.Get()), "time."))
		}
	}
	return ""
}

// Suggest returns the candidate that word was probably meant to be, or "" when none is near: one within a third of the
// word's letters, else one that begins with it.
func Suggest(word string, candidates []string) string {
	if len(word) < 3 {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := distance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	for _, c := range candidates {
		if best == "" && strings.HasPrefix(c, word) {
			best = c
		}
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with their neighbour to make a into b (optimal
// string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
