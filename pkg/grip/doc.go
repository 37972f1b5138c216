// Package grip is the Generic Realtime Intermediary Protocol as Pushpin speaks it, on values: what the response of a backend
// tells pushd to do (ParseHeader, Instruct.ParseBody), what of it the client sees (ClientFields, Merge), what a backend is
// told about a request (Rewrite, SigKey, Feature), and which items a subscription is spared (Match).
//
// Texts of errors are those of Pushpin where it has one, because debug mode shows them to clients. It is not followed where
// its answer would break HTTP or hide a mistake: a status below 200, control bytes in a head, channel names and metadata
// that are not UTF-8, and base64 that is none are errors here. An empty element of a Grip-Channel list is no channel, the
// later of two instructions for one channel counts, and a request keeps its Content-Encoding.
//
// Reading and writing the messages, limits on their size and on the number of subscriptions, and what is done with an
// Instruct are left to others. Header maps have canonical keys, as net/http makes them.
package grip
