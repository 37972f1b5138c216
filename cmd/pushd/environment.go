package main

import (
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// clusterVariable matches what Kubernetes, and Docker for a link, put into the environment of every
// program beside a service called pushd or pushd-NAME: PUSHD_SERVICE_HOST,
// PUSHD_PORT=tcp://ADDRESS:PORT, PUSHD_PORT_7999_TCP_ADDR.
var clusterVariable = regexp.MustCompile(`^PUSHD_(.*_)?(SERVICE_HOST=|SERVICE_PORT(_\w+)?=` +
	`|PORT=(tcp|udp|sctp)://|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?=)`)

// unknownVariables refuses PUSHD_ variables that are no setting, as an unknown key of the TOML file
// is refused: a misspelt one has no effect.
func unknownVariables(environ []string, flags []cli.Flag) error {
	known := []string{envPrefix + "CONFIG", envPrefix + "PUSHPIN_CONFIG"}
	for _, f := range flags {
		known = append(known, env(f.Names()[0])...)
	}
	var wrong problems
	for _, e := range slices.Sorted(slices.Values(environ)) {
		name, _, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) || slices.Contains(known, name) || clusterVariable.MatchString(e) {
			continue
		}
		wrong.add("$%s: unknown variable%s", name, meant(name, known...))
	}
	return wrong.err()
}
