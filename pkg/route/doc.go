// Package route reads the routes file, chooses a request's route, and watches the file for changes. It connects to
// nothing and resolves no names.
//
// The file has Pushpin's grammar. A line is a condition and at least one target, separated by spaces; each may have
// parameters, and # begins a comment:
//
//	chat.example,path_beg=/v2/,prefix=chat- backend1:8080 backend2:8080,ssl
//
// The condition begins with a host, * for every host that no other line names, or nothing (a route that is found by its
// id only). A part in double quotes may hold spaces, commas and #, with \" and \\ as escapes. A target is HOST:PORT, test,
// or direct, which serves the endpoints of direct mode and is not Pushpin's; several of them are tried in order.
//
// Pushpin skips a line that it does not understand, and ignores parameters that it does not know. Here each of these is
// an error with its place and, where something similar exists, a suggestion.
package route
