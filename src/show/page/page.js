<style>{{style}}</style><script>{{script}}</script>default-src 'none'
