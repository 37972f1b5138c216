<?php
// A backend that has the proxy hold its clients, as events on the channel that the parameter topic names.
$topic = $_GET['topic'] ?? '';
if ($topic === '') {
    http_response_code(400);
    header('Content-Type: text/plain');
    echo "parameter topic is missing\n";
    exit;
}
header('Content-Type: text/event-stream');
header('Grip-Hold: stream');
header('Grip-Channel: ' . $topic);
header('Grip-Keep-Alive: :\n\n; format=cstring; timeout=55');
echo "event: message\ndata: stream open\n\n";
