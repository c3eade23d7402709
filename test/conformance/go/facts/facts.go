// Package facts is what the client programs have in common: each reads one request from its standard input, does the one thing that
// is asked for with its client, and prints what it saw as lines of JSON. The tests that run them say what is to be seen.
package facts

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// No request takes nearly as long; a program that hangs ends with an error that says at what.
const deadline = 120 * time.Second

// Record is one record, to be produced or as it was consumed. Keys and values are text; nil is null.
type Record struct {
	Partition   int32       `json:"partition"`
	Offset      int64       `json:"offset"`
	TimestampMs int64       `json:"timestampMs"`
	Key         *string     `json:"key"`
	Value       *string     `json:"value"`
	Headers     [][2]string `json:"headers"`
}

// Request is what a test asks a program for. Fields that a scenario has no use for are absent.
type Request struct {
	Bootstrap  string   `json:"bootstrap"`
	Scenario   string   `json:"scenario"`
	Topic      string   `json:"topic"`
	Partitions int32    `json:"partitions"`
	Group      string   `json:"group"`
	Protocol   string   `json:"protocol"`
	Instance   string   `json:"instance"`
	Codec      string   `json:"codec"`
	Idempotent bool     `json:"idempotent"`
	Records    []Record `json:"records"`
	Count      int      `json:"count"`
	Times      []int64  `json:"times"`
	SettleMs   int64    `json:"settleMs"`
}

// Scenario does what was asked for and gives what it saw, which is printed as the last line.
type Scenario func(ctx context.Context, request Request) (any, error)

var input = bufio.NewReaderSize(os.Stdin, 1<<20)

// Main runs the scenario that the request names.
func Main(scenarios map[string]Scenario) {
	line, err := input.ReadBytes('\n')
	var request Request
	if err == nil {
		err = json.Unmarshal(line, &request)
	}
	if err != nil {
		fail("a request of one line of JSON", err)
	}
	scenario, known := scenarios[request.Scenario]
	if !known {
		fail(request.Scenario, errors.New("this client has no such scenario"))
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	result, err := scenario(ctx, request)
	if err != nil {
		fail(request.Scenario, err)
	}
	Print(result)
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	os.Exit(1)
}

var printing sync.Mutex

// Print writes one line of JSON.
func Print(fact any) {
	text, err := json.Marshal(fact)
	if err != nil {
		fail("print", err)
	}
	printing.Lock()
	defer printing.Unlock()
	fmt.Println(string(text))
}

// Assigned says which partitions a member of a group has now.
func Assigned(partitions []int32) {
	Print(map[string]any{"assigned": append([]int32{}, partitions...)})
}

// Seen says what a member of a group has consumed.
func Seen(records ...Record) { Print(map[string]any{"records": records}) }

// UntilLeave is a context that ends when the test closes the program's standard input, by which it asks a member to leave its group.
func UntilLeave(ctx context.Context) context.Context {
	leaving, cancel := context.WithCancel(ctx)
	go func() {
		_, _ = io.Copy(io.Discard, input)
		cancel()
	}()
	return leaving
}

// Steps are what an administrator does one after another, by name: what was answered, or the code with which it was refused.
type Steps struct {
	// CodeOf gives Kafka's number for a client's error, or its text where the broker said nothing of the kind.
	CodeOf func(err error) any
	Seen   map[string]any
	// A broker may answer before what was changed is to be seen.
	SettleMs int64
}

// Do does one step.
func (steps Steps) Do(name string, step func() (any, error)) {
	answer, err := step()
	if err != nil {
		answer = steps.CodeOf(err)
	}
	steps.Seen[name] = answer
}

// Done does one step that changes something and is answered by no more than its success, which is 0.
func (steps Steps) Done(name string, step func() error) {
	steps.Do(name, func() (any, error) { return 0, step() })
	time.Sleep(time.Duration(steps.SettleMs) * time.Millisecond)
}

// Text is a key or value as it came: nil is null.
func Text(bytes []byte) *string {
	if bytes == nil {
		return nil
	}
	text := string(bytes)
	return &text
}

// Bytes is the opposite of Text.
func Bytes(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}
