<?php
// As much of WordPress as the plugin of docs/recipes.md calls. It prints the token, the widget, and what
// a stranger gets.
const PARLEY_URL = 'wss://talk.example.com/dev';
define('PARLEY_SECRET', getenv('AUTH_SECRET'));
$user = 7;
$routes = $shortcodes = [];

function add_action(string $name, callable $run): void {
    $run();
}
function register_rest_route(string $space, string $path, array $route): void {
    $GLOBALS['routes']["$space$path"] = $route;
}
function add_shortcode(string $name, callable $run): void {
    $GLOBALS['shortcodes'][$name] = $run;
}
function is_user_logged_in(): bool {
    return $GLOBALS['user'] > 0;
}
function get_current_user_id(): int {
    return $GLOBALS['user'];
}
function wp_enqueue_script_module(string $id, string $source): void {
}
function plugins_url(string $path, string $file): string {
    return "https://example.org/wp-content/plugins/parley/$path";
}
function wp_create_nonce(string $action): string {
    return 'nonce';
}
function rest_url(string $path): string {
    return "https://example.org/wp-json/$path";
}
function add_query_arg(string $name, string $value, string $url): string {
    return "$url?$name=$value";
}
function esc_url(string $url, ?array $schemes = null): string {
    return htmlspecialchars($url);
}

require 'parley.php';
$route = $routes['parley/v1/token'];
echo $route['callback']()['token'], "\n";
echo $shortcodes['parley'](), "\n";
$user = 0;
echo $route['permission_callback']() || $shortcodes['parley']() ? 'something' : 'nothing', "\n";
