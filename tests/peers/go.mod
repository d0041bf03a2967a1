// The S3 server that `make test-peers` builds: nothing of dais is written in Go.
module peers

go 1.24

require github.com/versity/versitygw v1.8.0
