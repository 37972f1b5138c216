# Versions of the tools that are not modules of go.mod.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
