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
