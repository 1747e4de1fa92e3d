// An agent's run told with the OpenTelemetry JavaScript SDK over one of its three protocols:
//   node agent.cjs grpc|proto|http GRPC_URL HTTP_URL
// Prints one JSON object: what the SDK says of the spans, log records and points that it sent, and whether they
// were taken.
"use strict";
const { context, trace, SpanKind, SpanStatusCode } = require("@opentelemetry/api");
const { resourceFromAttributes } = require("@opentelemetry/resources");
const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = require("@opentelemetry/sdk-trace-base");
const { LoggerProvider } = require("@opentelemetry/sdk-logs");
const { MeterProvider, PeriodicExportingMetricReader } = require("@opentelemetry/sdk-metrics");

const [, , protocol, grpcUrl, httpUrl] = process.argv;
const exporter = (signal, name) => {
  const kind = require(`@opentelemetry/exporter-${signal}-otlp-${protocol}`)[`OTLP${name}Exporter`];
  const path = { trace: "traces", logs: "logs", metrics: "metrics" }[signal];
  return new kind({ url: protocol === "grpc" ? grpcUrl : `${httpUrl}/v1/${path}`, timeoutMillis: 30_000 });
};
// Resolves to 0 where the exporter says that what it was given has arrived.
const send = (to, what) => new Promise((done) => to.export(what, (result) => done(result.code)));

async function main() {
  const resource = resourceFromAttributes({ "service.name": "js-agent", list: ["a", "b"] });
  const memory = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ resource, spanProcessors: [new SimpleSpanProcessor(memory)] });
  const tracer = provider.getTracer("js", "1.0");
  const session = { "session.id": "js-session" };
  const begun = Date.now() - 1000;
  const root = tracer.startSpan("invoke_agent", {
    startTime: begun,
    kind: SpanKind.SERVER,
    attributes: { ...session, "gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "js" },
  });
  const under = trace.setSpan(context.active(), root);
  for (let n = 0; n < 6; n++) {
    // One after the other, by times of its own: the SDK's clock ticks in milliseconds, a loop of a test does not.
    const call = tracer.startSpan("execute_tool", {
      startTime: begun + 10 * n,
      attributes: {
        ...session,
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "search",
        "gen_ai.tool.call.arguments": '{"q": "same"}',
        "gen_ai.tool.call.result": "nothing found",
      },
    }, under);
    call.end(begun + 10 * n + 5);
  }
  const odd = tracer.startSpan("chat 🙂", { kind: SpanKind.CLIENT, attributes: session }, under);
  odd.setAttributes({ text: 'ä\n"\\ \u2028 😀', big: Number.MAX_SAFE_INTEGER, small: -7, half: 0.5, yes: true });
  odd.setAttributes({ texts: ["a", ""], numbers: [1, 2.5], empty: "" });
  odd.addEvent("token", { n: 1 });
  odd.addLink({ context: root.spanContext(), attributes: { why: "a link" } });
  odd.recordException(new Error("not good"));
  odd.setStatus({ code: SpanStatusCode.ERROR, message: "it failed" });
  odd.end();
  root.end();
  const spans = memory.getFinishedSpans();
  const traces = exporter("trace", "Trace");
  const told = { traces: await send(traces, spans) };

  const kept = [];
  const keep = { onEmit: (record) => kept.push(record), forceFlush: async () => {}, shutdown: async () => {} };
  const records = new LoggerProvider({ resource, processors: [keep] });
  const logger = records.getLogger("js", "1.0");
  for (let n = 0; n < 3; n++) {
    logger.emit({ body: `log ${n}`, severityNumber: 9, attributes: { ...session, n }, context: under });
  }
  told.logs = await send(exporter("logs", "Log"), kept);

  const metricExporter = exporter("metrics", "Metric");
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 3_600_000 });
  const metrics = new MeterProvider({ resource, readers: [reader] });
  metrics.getMeter("js").createCounter("calls").add(6, { tool: "search" });
  metrics.getMeter("js").createHistogram("seconds").record(0.5);
  const { resourceMetrics } = await reader.collect();
  told.metrics = await send(metricExporter, resourceMetrics);

  const nanoseconds = ([seconds, rest]) => (BigInt(seconds) * 1_000_000_000n + BigInt(rest)).toString();
  told.records = kept.map((record) => ({
    traceId: record.spanContext.traceId,
    spanId: record.spanContext.spanId,
    time: nanoseconds(record.hrTime),
    severity: record.severityNumber,
    body: record.body,
    attributes: record.attributes,
  }));
  told.points = resourceMetrics.scopeMetrics.flatMap((scope) => scope.metrics).flatMap((metric) =>
    metric.dataPoints.map(({ value, attributes }) => ({
      name: metric.descriptor.name,
      value: value.sum ?? value,
      count: value.count ?? 0,
      attributes,
    })));
  told.spans = spans.map((span) => ({
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    parentSpanId: span.parentSpanContext?.spanId ?? "",
    name: span.name,
    kind: span.kind + 1,
    start: nanoseconds(span.startTime),
    end: nanoseconds(span.endTime),
    attributes: span.attributes,
    events: span.events.map((event) => event.name),
    links: span.links.map((link) => link.context.spanId),
    status: { code: span.status.code, message: span.status.message ?? "" },
  }));
  await traces.shutdown();
  await records.shutdown();
  await metricExporter.shutdown(); // the reader would collect and send once more
  console.log(JSON.stringify(told));
  process.exit(0); // gRPC channels of the other exporters are still open
}
main().catch((error) => {
  console.error(error);
  process.exit(1);
});
