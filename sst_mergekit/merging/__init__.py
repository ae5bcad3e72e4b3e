"""From a recipe to a merged model, by mergekit, whole or not at all."""
