-- Sends requests N deep when asked to (wrk … -- N), and prints the totals as one line of JSON.
function init(args)
    local depth = tonumber(args[1] or "1")
    if depth > 1 then
        local one, many = wrk.format(), {}
        for i = 1, depth do many[i] = one end
        local batch = table.concat(many)
        request = function() return batch end
    end
end

function done(summary, latency, requests)
    local e = summary.errors
    print(string.format(
        'TOTALS {"us":%d,"requests":%d,"bytes":%d,"p50":%d,"p99":%d,' ..
        '"bad_status":%d,"socket_errors":%d}',
        summary.duration, summary.requests, summary.bytes,
        latency:percentile(50), latency:percentile(99),
        e.status, e.connect + e.read + e.write + e.timeout))
end
